import { expect, test } from 'vitest'
import { DeadLetters } from '../../src/processing/dead-letters.ts'
import { encodeMessage } from '../../src/transport/wire.ts'
import { describeOnBroker } from '../support/brokers.ts'
import { eventually } from '../support/eventually.ts'
import { connectTo, eventOf, prepareTopic, publishAll } from './job-messages.ts'
import type { EventStore } from '../../src/storage/event-store.ts'
import type { Job } from './killed-process.ts'
import type { Place } from './killing.ts'
import { doneIn, expectEach, freshFile, jobsOf, openPlace, retryBlamed, strike, Workers } from './killing.ts'
import type { TransportPlace } from './transport-places.ts'

/** Longer than a processor that stops waits for its handlers. */
const takesMs = 6_000
/** Longer than a member may be silent: the group takes it for dead, and gives the message to others, until it is tried alone, and has failed. */
const blocksMs = 2_500

describeOnBroker('Kafka', 'rebalances of Kafka', (where) => {
  const broker: TransportPlace = { kind: 'kafka', where }

  async function prepare(
    jobs: readonly Job[],
  ): Promise<{ store: EventStore; storePlace: Place; topic: string; publish(from: number, to: number): Promise<void> }> {
    const storePlace = await freshFile()
    const store = await openPlace(storePlace)
    const connection = await connectTo(broker)
    const topic = await prepareTopic(connection, 'working.work')
    const messages = jobs.map((job) => encodeMessage(eventOf(job), topic))
    return { store, storePlace, topic: topic.name, publish: (from, to) => publishAll(connection, topic.name, messages.slice(from, to)) }
  }

  test('members come and go while handlers take too long: each thing is done once, in order per key', { timeout: 120_000 }, async () => {
    const jobs = jobsOf(900, 60).map((job): Job => (job.n % 149 === 40 ? { ...job, takesMs } : job))
    const { store, storePlace, topic, publish } = await prepare(jobs)
    await publish(0, 450)
    const workers = new Workers(3, storePlace, broker, { where: topic })
    const head = async (): Promise<number> => (await store.log()).head
    await strike(workers, 2, head, 'stop')
    await publish(450, 900)
    await strike(workers, 1, head, 'stop')
    await eventually(async () => expectEach(await doneIn(store), jobs), 60_000)
    await eventually(async () => expect((await new DeadLetters(store).list()).documents).toEqual([]))
    expect(workers.ended).toBeGreaterThanOrEqual(3)
  })

  test(
    'a handler that holds up its process, so that the group takes it for dead, is found out, and the others go on',
    { timeout: 120_000 },
    async () => {
      const jobs = jobsOf(120, 20).map((job): Job => (job.n === 30 ? { ...job, blocksMs, fails: 0 } : job))
      const { store, storePlace, topic, publish } = await prepare(jobs)
      await publish(0, 120)
      const workers = new Workers(2, storePlace, broker, { where: topic })
      await eventually(async () => {
        // What else was tried beside it.
        await retryBlamed(store)
        expectEach(await doneIn(store), jobs)
      }, 120_000)
      expect(workers.ended).toBe(0)
    },
  )
})
