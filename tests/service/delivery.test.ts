import { describe, expect, test } from 'vitest'
import { defineEvent } from '../../src/message/event.ts'
import { defineHandler } from '../../src/processing/handler.ts'
import type { Delivery } from '../../src/processing/lane-options.ts'
import { PermanentError } from '../../src/processing/retry.ts'
import { jsonSchema } from '../../src/schema/json-schema.ts'
import { defineService } from '../../src/service/service.ts'
import type { OutgoingMessage } from '../../src/transport/port.ts'
import { defineTopic } from '../../src/transport/topic.ts'
import { MemoryBroker } from '../conformance/memory-transport.ts'
import { startForTest } from '../support/apps.ts'
import { eventually } from '../support/eventually.ts'
import { memory } from '../support/memory-driver.ts'

const Measured = defineEvent('Measured', jsonSchema<{ n: number }>({ type: 'object', required: ['n'] }))
const Noted = defineEvent('Noted', jsonSchema<{ n: number }>({ type: 'object', required: ['n'] }))

function message(n: number): OutgoingMessage {
  return {
    id: `m-${n}`,
    key: 'meter',
    attributes: { specversion: '1.0', id: `m-${n}`, source: 'meters', type: 'Measured', subject: 'meter:1' },
    headers: { 'content-type': 'application/json' },
    body: Buffer.from(JSON.stringify({ n })),
  }
}

describe.each(['partition', 'queue'] as const)('messages that a broker gives more than once, by %s', (ordering) => {
  /** Lets a handler have 0, 1, 1, 2, 0 and 3, and gives what it was called with and what it emitted. */
  async function handled(delivery: Delivery, fail: (n: number) => boolean = () => false) {
    const topic = defineTopic('measurements', { events: [Measured] })
    const calls: number[] = []
    const note = defineHandler('note', { on: Measured, emits: Noted, delivery }, ({ data }, { emit }) => {
      calls.push(data.n)
      if (fail(data.n)) throw new PermanentError('it cannot be done')
      emit(Noted(data))
    })
    const broker = new MemoryBroker({ ordering })
    const app = await startForTest(defineService('notes', { handlers: [note], subscribes: [topic] }), {
      storage: memory(),
      transport: broker,
    })
    const connection = await broker.connect()
    for (const n of [0, 1, 1, 2, 0, 3]) await connection.publish(topic.name, [message(n)])
    const noted = async (): Promise<readonly number[]> => {
      const all: number[] = []
      for await (const { data } of app.store.readLog({ types: ['Noted'] })) all.push((data as { readonly n: number }).n)
      return all
    }
    await eventually(async () => expect(await noted()).toContain(3))
    return { calls, noted: await noted() }
  }

  test('are handled exactly once, which is the default', async () => {
    expect(await handled('exactly-once')).toEqual({ calls: [0, 1, 2, 3], noted: [0, 1, 2, 3] })
  })

  test('are handled as often as they come, at least once; events that follow from one are the same events', async () => {
    expect(await handled('at-least-once')).toEqual({ calls: [0, 1, 1, 2, 0, 3], noted: [0, 1, 2, 3] })
  })

  test('are handled at most once, also when that fails', async () => {
    expect(await handled('at-most-once', (n) => n === 1)).toEqual({ calls: [0, 1, 2, 3], noted: [0, 2, 3] })
  })
})
