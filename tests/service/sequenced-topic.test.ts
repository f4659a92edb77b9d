import { describe, expect, test } from 'vitest'
import { defineAggregate } from '../../src/aggregate/aggregate.ts'
import { defineEvent } from '../../src/message/event.ts'
import { defineHandler } from '../../src/processing/handler.ts'
import { jsonSchema } from '../../src/schema/json-schema.ts'
import { defineService } from '../../src/service/service.ts'
import { defineTopic } from '../../src/transport/topic.ts'

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
    expect(defineTopic('t', { events: [Placed], sequenced: true }).sequenced).toEqual({ waitMs: 30_000, maxWaiting: 1_000 })
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
