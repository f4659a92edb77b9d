import fc from 'fast-check'
import { expect, test } from 'vitest'
import { InvalidDefinitionError } from '../../../src/message/errors.ts'
import { sqs } from '../../../src/transport/sqs/index.ts'
import { QueueNames } from '../../../src/transport/sqs/queue-name.ts'
import { resolveSettings } from '../../../src/transport/sqs/settings.ts'

const names = new QueueNames(resolveSettings({ queuePrefix: 'test-' }))
const name = fc.oneof(fc.string({ minLength: 1 }), fc.stringMatching(/^[a-c_2d.-]{1,12}$/), fc.stringMatching(/^[a-z-]{30,60}$/))

test('names that SQS takes stay readable', () => {
  expect(names.topic('orders')).toBe('test-orders.fifo')
  expect(names.group('orders', 'shop_billing-1')).toBe('test-orders--shop_billing-1.fifo')
  expect(names.group('shop.orders', 'a b')).toBe('test-shop_2eorders--a_20b.fifo')
  expect(new QueueNames(resolveSettings({ fifo: false })).group('orders', 'billing')).toBe('orders--billing')
})

test('every name is one that SQS takes, and different ones stay different', () => {
  const given = new Map<string, string>()
  fc.assert(
    fc.property(name, name, (topic, group) => {
      const queue = names.group(topic, group)
      expect(queue).toMatch(/^[A-Za-z0-9_-]{1,75}\.fifo$/)
      expect(names.topic(topic)).toMatch(/^[A-Za-z0-9_-]{1,75}\.fifo$/)
      const pair = JSON.stringify([topic.toWellFormed(), group.toWellFormed()])
      expect(given.get(queue) ?? pair).toBe(pair)
      given.set(queue, pair)
    }),
    { numRuns: 2_000 },
  )
})

test('the groups of a topic are found by how their queues’ names start, and nobody else’s are', () => {
  fc.assert(
    fc.property(name, name, name, (topic, other, group) => {
      const start = names.groupsStart(topic)
      expect(names.group(topic, group).startsWith(start)).toBe(true)
      if (topic.toWellFormed() === other.toWellFormed()) return
      expect(names.group(other, group).startsWith(start)).toBe(false)
      expect(names.topic(other).startsWith(start)).toBe(false)
    }),
    { numRuns: 2_000 },
  )
})

test('what is put aside of a group is told from every group of the topic, whatever it is called', () => {
  const groupName = fc.oneof(name, fc.constantFrom('dlq', '-dlq', '--dlq', 'a--dlq', 'dlq.fifo', 'x'.repeat(90)))
  fc.assert(
    fc.property(name, groupName, groupName, (topic, group, other) => {
      const queue = names.deadLetters(topic, group)
      expect(queue).toMatch(/^[A-Za-z0-9_-]{1,75}\.fifo$/)
      expect(names.isOfGroup(topic, `http://sqs/1/${queue}`)).toBe(false)
      expect(names.isOfGroup(topic, `http://sqs/1/${names.group(topic, other)}`)).toBe(true)
      if (group.toWellFormed() !== other.toWellFormed()) expect(names.deadLetters(topic, other)).not.toBe(queue)
    }),
    { numRuns: 2_000 },
  )
})

test('options out of their range are refused at once', () => {
  expect(() => sqs({ queuePrefix: 'a.b' })).toThrow(InvalidDefinitionError)
  expect(() => sqs({ waitTimeSec: 21 })).toThrow('waitTimeSec must be a whole number from 0 to 20, not 21')
  expect(() => sqs({ visibilityTimeoutSec: 0.5 })).toThrow(InvalidDefinitionError)
})
