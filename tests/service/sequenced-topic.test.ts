import { describe, expect, test } from 'vitest'
import { defineAggregate } from '../../src/aggregate/aggregate.ts'
import { defineEvent } from '../../src/message/event.ts'
import { defineHandler } from '../../src/processing/handler.ts'
import { jsonSchema } from '../../src/schema/json-schema.ts'
import { defineService } from '../../src/service/service.ts'
import { defineTopic } from '../../src/transport/topic.ts'
import { MemoryBroker } from '../conformance/memory-transport.ts'
import { startForTest } from '../support/apps.ts'
import { eventually } from '../support/eventually.ts'
import { describeOnEveryStore } from '../support/stores.ts'

const data = jsonSchema<{ orderId: string }>({ type: 'object' })
const Placed = defineEvent('Placed', data)
const Paid = defineEvent('Paid', data)
const Noted = defineEvent('Noted', data)

const order = defineAggregate('order', { id: 'orderId', initialState: () => 0 })
  .evolve({ Placed, Paid }, { Placed: (state) => state + 1, Paid: (state) => state + 1 })
  .decide({}, {})
const book = defineHandler('book', { on: Noted, emits: [Placed, Paid] }, () => {})
const topicOf = (events: readonly (typeof Placed | typeof Paid | typeof Noted)[]) => defineTopic('t', { events, sequenced: true })

describe('a sequenced topic', () => {
  test.each([
    ['an aggregate', { aggregates: [order] }],
    ['a handler', { handlers: [book] }],
  ])('has all events of %s that is published on it, or none', (_, parts) => {
    expect(() => defineService('s', { ...parts, publishes: [topicOf([Placed, Noted])] })).toThrow(/some events of the .* but not Paid/)
    defineService('s', { ...parts, publishes: [topicOf([Placed, Paid])] })
    defineService('s', { ...parts, publishes: [topicOf([Noted])] })
    defineService('s', { ...parts, publishes: [defineTopic('t', { events: [Placed] })] })
  })

  test('leaves nothing out', () => {
    expect(() => defineTopic('t', { events: [Placed], sequenced: true, where: () => true })).toThrow(/`where` leaves out/)
    defineTopic('t', { events: [Placed], sequenced: false, where: () => true })
  })

  test('waits for as long, and lets as many wait, as can be', () => {
    expect(defineTopic('t', { events: [Placed], sequenced: true }).sequenced).toEqual({ waitMs: 60_000, maxWaiting: 1_000 })
    expect(defineTopic('t', { events: [Placed], sequenced: { waitMs: 0 } }).sequenced).toEqual({ waitMs: 0, maxWaiting: 1_000 })
    expect(defineTopic('t', { events: [Placed] }).sequenced).toBeUndefined()
    for (const sequenced of [
      { waitMs: -1 },
      { waitMs: NaN },
      { waitMs: 3e9 },
      { maxWaiting: 0 },
      { maxWaiting: 1.5 },
      { maxWaiting: 1_001 },
    ])
      expect(() => defineTopic('t', { events: [Placed], sequenced })).toThrow(/must be/)
  })
})

describeOnEveryStore('a handler of a sequenced topic that is put back', (fresh) => {
  test('gets everything again when that is asked for, and others are where they were', async () => {
    const handled: Record<string, string[]> = { first: [], firstborn: [] }
    const handlers = ['first', 'firstborn'].map((name) =>
      defineHandler(name, { on: Placed }, ({ stream, version }) => void handled[name]!.push(`${stream} ${version}`)),
    )
    const topic = defineTopic('t', { events: [Placed], partitions: 1, sequenced: true })
    const service = defineService('s', { handlers, publishes: [topic], subscribes: [topic] })
    const app = await startForTest(service, { storage: await fresh(), transport: new MemoryBroker({ ordering: 'partition' }) })
    await app.store.append('order:1', [Placed({ orderId: '1' }), Placed({ orderId: '1' })])
    const once = ['order:1 1', 'order:1 2']
    await eventually(() => expect(handled).toEqual({ first: once, firstborn: once }))
    await eventually(async () => expect((await app.lag()).every(({ messages }) => messages === 0)).toBe(true))
    await app.reset('first', 'beginning', { by: 'ada', replay: true })
    await eventually(() => expect(handled).toEqual({ first: [...once, ...once], firstborn: once }))
    await app.store.append('order:1', Placed({ orderId: '1' }))
    await eventually(() => expect(handled).toEqual({ first: [...once, ...once, 'order:1 3'], firstborn: [...once, 'order:1 3'] }))
  })
})
