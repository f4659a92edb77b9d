import { environment } from '../src/observability/environment.ts'
import { silentLog } from '../src/observability/log.ts'
import type { OutgoingMessage, TransportConnection } from '../src/transport/port.ts'
import type { OpenBroker } from './brokers/broker.ts'
import { FilledTopic, publishAll, startOf } from './brokers/filled-topic.ts'
import type { GivenBroker } from './brokers/given.ts'
import { givenBrokers } from './brokers/given.ts'
import type { Benchmark } from './harness/benchmark.ts'
import type { Section } from './harness/figures.ts'
import { speedFigures } from './harness/figures.ts'
import type { Lab } from './harness/lab.ts'
import { newTopic, orderMessages } from './harness/order-messages.ts'
import type { Speed } from './harness/pace.ts'
import { Pace } from './harness/pace.ts'
import { takeTurns } from './harness/rounds.ts'

export const transports: Benchmark = {
  name: 'transports',
  about: 'publishing and consuming over each transport, against its client library by itself',
  async *run(lab) {
    for (const given of givenBrokers(lab)) {
      await using broker = await given.open()
      const connection = await broker.transport.connect({ environment: environment({ log: silentLog }), clientName: 'benchmark' })
      try {
        yield await publishing(lab, given, broker, connection)
        yield await consuming(lab, given, broker, connection)
      } finally {
        await connection.close()
      }
    }
  },
}

const group = 'all'

async function publishing(lab: Lab, given: GivenBroker, broker: OpenBroker, connection: TransportConnection): Promise<Section> {
  const count = given.published
  const turn =
    (publish: (topic: string, messages: readonly OutgoingMessage[], pace: Pace) => Promise<void>) => async (): Promise<Speed> => {
      const topic = newTopic(given.partitions)
      await connection.ensureTopic(topic.spec)
      await connection.ensureGroup(topic.name, group, startOf(connection))
      const pace = new Pace(count)
      await publish(topic.name, orderMessages(topic, count), pace)
      const speed = await pace.finished
      await broker.remove(topic.name, [group])
      return speed
    }
  const speeds = await takeTurns(
    {
      Headwater: turn((topic, messages, pace) => publishAll(connection, topic, messages, pace)),
      'raw client': turn((topic, messages, pace) => broker.raw.publish(topic, messages, pace)),
    },
    lab.rounds,
  )
  const title = `publishing ${count.toLocaleString('en')} messages`
  return { title, store: given.name, figures: speedFigures(speeds, 'messages'), notes: [`raw: ${broker.raw.about}`] }
}

async function consuming(lab: Lab, given: GivenBroker, broker: OpenBroker, connection: TransportConnection): Promise<Section> {
  const filled = new FilledTopic(given, broker, connection)
  let groups = 0
  const turn = (consume: (topic: string, group: string, pace: Pace) => Promise<void>) => async (): Promise<Speed> => {
    const consumer = `group-${++groups}`
    const topic = await filled.for(consumer)
    const pace = new Pace(given.messages, { isWhole: given.fetchesFar })
    await consume(topic.name, consumer, pace)
    return pace.finished
  }
  const speeds = await takeTurns(
    {
      Headwater: turn((topic, consumer, pace) => consumeAll(connection, topic, consumer, pace)),
      'raw client': turn((topic, consumer, pace) => broker.raw.consume(topic, consumer, pace)),
    },
    lab.rounds,
  )
  await filled.remove()
  const title = `consuming ${given.messages.toLocaleString('en')} messages, each parsed and acknowledged`
  return { title, store: given.name, figures: speedFigures(speeds, 'messages'), notes: [`raw: ${broker.raw.about}`] }
}

const utf8 = new TextDecoder()

async function consumeAll(connection: TransportConnection, topic: string, consumer: string, pace: Pace): Promise<void> {
  const subscription = await connection.subscribe({
    topic,
    group: consumer,
    startAt: startOf(connection),
    maxMessages: 2_000,
    maxBytes: 16 * 1024 * 1024,
    releaseTimeoutMs: 1_000,
    async run(partition) {
      for await (const messages of partition.read()) {
        for (const { body } of messages) JSON.parse(utf8.decode(body))
        // Not waited for, as in the pipeline: it goes on with what has come meanwhile.
        void partition.acknowledge(messages).then(() => pace.add(messages.length))
      }
    },
  })
  await pace.finished
  await subscription.close()
}
