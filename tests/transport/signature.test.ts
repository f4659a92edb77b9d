import { createHmac } from 'node:crypto'
import { describe, expect, test } from 'vitest'
import { defineEvent } from '../../src/message/event.ts'
import type { RecordedEvent } from '../../src/message/event.ts'
import { defineHandler } from '../../src/processing/handler.ts'
import { jsonSchema } from '../../src/schema/json-schema.ts'
import { defineService } from '../../src/service/service.ts'
import type { OutgoingMessage, ReceivedMessage } from '../../src/transport/port.ts'
import { hmacSignature } from '../../src/transport/signature.ts'
import type { TopicOptions } from '../../src/transport/topic.ts'
import { defineTopic } from '../../src/transport/topic.ts'
import { decodeMessage, encodeMessage } from '../../src/transport/wire.ts'
import { MemoryBroker } from '../conformance/memory-transport.ts'
import { startForTest } from '../support/apps.ts'
import { eventually } from '../support/eventually.ts'
import { memory } from '../support/memory-driver.ts'

const Paid = defineEvent('Paid', jsonSchema<{ n: number }>({ type: 'object', required: ['n'] }))
const [old, current] = ['o'.repeat(32), 'c'.repeat(32)]
const signature = hmacSignature({ secrets: { old, current }, signWith: 'current' })
const topicWith = (options: Partial<TopicOptions> = {}) => defineTopic('payments', { events: [Paid], signature, ...options })

function paid(n: number): RecordedEvent {
  const id = `e-${n}`
  const when = { time: new Date(0), correlationId: id, causationId: id }
  const place = { stream: 'order:1', version: n, position: n, source: 'shop', schemaVersion: 1 }
  return { type: 'Paid', data: { n }, id, ...place, ...when, metadata: {}, tags: [] }
}
const arrived = (message: OutgoingMessage): ReceivedMessage => ({ ...message, topic: 'payments', partition: 0, offset: 0, timeMs: 0 })

describe('a signed message', () => {
  test.each(['binary', 'structured'] as const)('is believed as it was written, in %s mode', (mode) => {
    const topic = topicWith({ mode })
    expect(decodeMessage(arrived(encodeMessage(paid(1), topic)), 1, topic)).toMatchObject({ type: 'Paid', data: { n: 1 }, id: 'e-1' })
  })

  test('is believed while its secret is replaced, and not when nobody knows that any more', () => {
    const before = encodeMessage(paid(1), topicWith({ signature: hmacSignature({ secrets: { old } }) }))
    expect(decodeMessage(arrived(before), 1, topicWith())).toMatchObject({ id: 'e-1' })
    const after = topicWith({ signature: hmacSignature({ secrets: { current } }) })
    expect(() => decodeMessage(arrived(before), 1, after)).toThrow('a secret that is not known here: old')
  })

  const good = arrived(encodeMessage(paid(1), topicWith()))
  const code = good.headers['x-headwater-signature']!
  test.each<[string, Partial<ReceivedMessage>]>([
    ['body', { body: Buffer.from('{"n":2}') }],
    ['id', { attributes: { ...good.attributes, id: 'e-2' } }],
    ['attributes', { attributes: { ...good.attributes, extra: '' } }],
    ['content type', { headers: { ...good.headers, 'content-type': 'application/vnd+json' } }],
    ['topic', { topic: 'refunds' }],
    ['signature', { headers: { ...good.headers, 'x-headwater-signature': `${code.slice(0, -3)}AAA` } }],
    ['length of the signature', { headers: { ...good.headers, 'x-headwater-signature': code.slice(0, -4) } }],
    ['secret', { headers: { ...good.headers, 'x-headwater-signature': code.replace('current', 'old') } }],
    ['presence of the signature', { headers: { 'content-type': 'application/json' } }],
    ['name of the secret', { headers: { ...good.headers, 'x-headwater-signature': `constructor.${code.slice(8)}` } }],
  ])('is not believed with another %s', (_, change) => {
    expect(() => decodeMessage({ ...good, ...change }, 1, topicWith())).toThrow(
      expect.objectContaining({ code: 'unauthenticated-message' }),
    )
  })

  test('can be written in any language', () => {
    const body = '{"n":7}'
    const attributes = { specversion: '1.0', type: 'Paid', source: 'legacy', id: 'l-7' }
    const head = '["payments","application/json",[["id","l-7"],["source","legacy"],["specversion","1.0"],["type","Paid"]]]'
    const mac = createHmac('sha256', current).update(`${head}\n${body}`).digest('base64url')
    const headers = { 'content-type': 'application/json', 'x-headwater-signature': `current.${mac}` }
    const message = arrived({ id: 'l-7', key: undefined, attributes, headers, body: Buffer.from(body) })
    expect(decodeMessage(message, 1, topicWith())).toMatchObject({ id: 'l-7', data: { n: 7 } })
  })
})

test('a secret that is too short, badly named or missing is refused', () => {
  expect(() => hmacSignature({ secrets: { a: 'short' } })).toThrow('the secret a of a signature has fewer than 32 characters')
  expect(() => hmacSignature({ secrets: { 'a.b': old } })).toThrow("the secret 'a.b' of a signature")
  expect(() => hmacSignature({ secrets: { old }, signWith: 'new' })).toThrow('a signature has no secret named new')
  expect(() => hmacSignature({ secrets: {} })).toThrow('a signature has no secret at all')
})

test.each(['partition', 'queue'] as const)(
  'a forged message is a dead letter, and does not pass for the one that it names: by %s',
  async (ordering) => {
    const topic = topicWith({ sequenced: true })
    const handled: number[] = []
    const note = defineHandler('note', { on: Paid }, ({ data }) => void handled.push(data.n))
    const broker = new MemoryBroker({ ordering })
    const app = await startForTest(defineService('notes', { handlers: [note], subscribes: [topic] }), {
      storage: memory(),
      transport: broker,
    })
    const connection = await broker.connect()
    const forged = encodeMessage(
      { ...paid(2), data: { n: 1_000_000 } },
      topicWith({ signature: hmacSignature({ secrets: { current: 'x'.repeat(32) } }) }),
    )
    await connection.publish(topic.name, [
      encodeMessage(paid(1), topic),
      forged,
      encodeMessage(paid(2), topic),
      encodeMessage(paid(3), topic),
    ])
    await eventually(() => expect(handled).toEqual([1, 2, 3]))
    const { documents } = await eventually(async () => {
      const letters = await app.deadLetters.list()
      expect(letters.documents).toHaveLength(1)
      return letters
    })
    expect(documents[0]).toMatchObject({ state: 'dead', type: 'unauthenticated', error: { code: 'unauthenticated-message' } })
    expect(Buffer.from(documents[0]!.origin!.raw!, 'base64').toString()).toBe('{"n":1000000}')
  },
)
