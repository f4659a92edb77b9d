import fc from 'fast-check'
import { expect, test } from 'vitest'
import { escapeName, subjectOf } from '../../../src/transport/nats/names.ts'

test('plain names stay as they are, and others keep to what NATS allows', () => {
  expect(escapeName('orders-v2_DLQ')).toBe('orders-v2_DLQ')
  expect(escapeName('orders.eu')).toBe('orders=2Eeu')
  expect(escapeName('100 %')).toBe('100=20=25')
  expect(escapeName('żółć')).toBe('=C5=BC=C3=B3=C5=82=C4=87')
})

test('two names never become one', () => {
  const name = fc.string({ unit: fc.constantFrom('a', 'Z', '.', '%', '=', '2', 'E', ' ', '*', '>', 'ż'), minLength: 1, maxLength: 6 })
  fc.assert(
    fc.property(name, name, (one, other) => {
      expect(escapeName(one)).toMatch(/^[A-Za-z0-9_=-]+$/)
      expect(escapeName(one) === escapeName(other)).toBe(one === other)
    }),
  )
})

test('types part into tokens at their dots, and what makes no subject has none of its own', () => {
  expect(subjectOf('orders', 'OrderPlaced')).toBe('orders.OrderPlaced')
  expect(subjectOf('orders', 'com.example.order placed')).toBe('orders.com.example.order=20placed')
  expect(subjectOf('orders', 'a..b>')).toBe('orders.a=2E=2Eb=3E')
  for (const none of [undefined, '', 'x'.repeat(5_000)]) expect(subjectOf('orders', none)).toBe('orders._')
  expect(subjectOf('orders', 'a.b', true)).toBe('orders.=later.a.b')
})
