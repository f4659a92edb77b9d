import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { defineEvent } from '../../src/message/event.ts'
import type { RecordedEvent } from '../../src/message/event.ts'
import { silentLog } from '../../src/observability/log.ts'
import type { MessagePage } from '../../src/processing/message-source.ts'
import { TopicMessages } from '../../src/processing/topic-messages.ts'
import { jsonSchema } from '../../src/schema/json-schema.ts'
import { checkName } from '../../src/storage/encode.ts'
import { EventStore } from '../../src/storage/event-store.ts'
import type { Partition, ReceivedMessage } from '../../src/transport/port.ts'
import type { Topic, TopicOptions } from '../../src/transport/topic.ts'
import { defineTopic } from '../../src/transport/topic.ts'
import { memory } from '../support/memory-driver.ts'

const Asked = defineEvent('Asked', jsonSchema<{ n: number }>({ type: 'object' }))
const topic = defineTopic('t', { events: [Asked] })

/** A partition with these messages, and silence after them. */
function partitionOf(messages: readonly ReceivedMessage[], revoked: AbortSignal = new AbortController().signal): Partition {
  return {
    topic: 't',
    number: 0,
    revoked,
    async *read() {
      if (messages.length > 0) yield messages
      await new Promise<void>((resolve) => revoked.addEventListener('abort', () => resolve()))
    },
    acknowledge: () => Promise.reject(new Error('the broker is gone')),
    release: async () => {},
  }
}

async function sourceOf(partition: Partition, from: Topic = topic): Promise<TopicMessages> {
  const store = await EventStore.open(memory(), { log: silentLog })
  return new TopicMessages({ topic: from, types: new Set(['Asked']), partition, keepsOffsets: true, remembers: true, store })
}

test('a partition that is quiet does not keep a run from ending', async () => {
  const source = await sourceOf(partitionOf([]))
  const stopping = new AbortController()
  const pages: MessagePage[] = []
  for await (const page of source.read(0, stopping.signal)) {
    pages.push(page)
    setImmediate(() => stopping.abort())
  }
  expect(pages).toHaveLength(1)
})

const hostile = fc.oneof(
  fc.constantFrom('', '\u0000', 'a\u0000b', '\ud800', 'x'.repeat(10_000), '\u001b[2J', '__proto__', 'é'.repeat(400)),
  fc.string({ unit: 'binary', maxLength: 20 }),
)
const message = fc.record({
  id: fc.option(hostile, { nil: undefined }),
  key: fc.option(hostile, { nil: undefined }),
  attributes: fc.dictionary(
    fc.constantFrom('specversion', 'id', 'source', 'type', 'subject', 'time', 'schemaversion', 'headwater', 'sequence'),
    hostile,
  ),
  headers: fc.dictionary(fc.constantFrom('content-type', 'x'), hostile),
  body: fc.oneof(
    fc.uint8Array({ maxLength: 30 }),
    fc.json({ maxDepth: 2 }).map((text) => Buffer.from(text)),
  ),
  isEvent: fc.boolean(),
})

test('whatever comes is a message, for somebody else, or a problem with names that a store takes; the same each time', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(message, { minLength: 1, maxLength: 20 }), async (given) => {
      const received = given.map(({ isEvent, attributes, ...rest }, offset): ReceivedMessage => {
        const asked = { specversion: '1.0', id: `m${offset}`, source: 's', type: 'Asked' }
        return { ...rest, attributes: isEvent ? { ...asked, ...attributes } : attributes, topic: 't', partition: 0, offset, timeMs: 0 }
      })
      const pages: MessagePage[] = []
      for (let time = 0; time < 2; time++) {
        const source = await sourceOf(partitionOf(received))
        for await (const page of source.read(0, new AbortController().signal)) {
          if (page.through === 0) continue
          pages.push(page)
          for (const { event } of page.problems ?? []) {
            const raw = source.originOf(event)?.raw
            expect(Buffer.from(raw!, 'base64')).toEqual(Buffer.from(received[event.position - 1]!.body))
          }
          source.finished([...page.events, ...(page.problems ?? []).map(({ event }) => event)], page.through)
          break
        }
      }
      const limits = { maxNameBytes: 500 }
      const [first, second] = pages.map(({ events, problems = [] }) => [...events, ...problems.map(({ event }) => event)])
      for (const event of first!) for (const name of ['id', 'source', 'type', 'stream'] as const) checkName(event[name], name, limits)
      expect(second!.map(({ id, source }) => [id, source])).toEqual(first!.map(({ id, source }) => [id, source]))
    }),
    { numRuns: 300 },
  )
})

describe('the numbers of a sequenced topic', () => {
  const Other = defineEvent('Other', jsonSchema<object>({ type: 'object' }))
  const asked = jsonSchema<{ n: number }>({ type: 'object', required: ['n'], properties: { n: { type: 'number' } } })
  const events = [defineEvent('Asked', asked), Other]
  const attributes = (type: string, sequence: string) => ({
    specversion: '1.0',
    id: `${type}${sequence}`,
    source: 's',
    type,
    subject: 'asked:1',
    sequence,
  })
  const json = { 'content-type': 'application/json' }

  async function pageOf(options: Partial<TopicOptions>, messages: readonly Partial<ReceivedMessage>[]): Promise<MessagePage> {
    const given = messages.map((one, offset) => ({
      id: undefined,
      key: 'k',
      attributes: {},
      headers: {},
      body: Buffer.from('{"n":1}'),
      topic: 't',
      partition: 0,
      offset,
      timeMs: 0,
      ...one,
    }))
    const source = await sourceOf(partitionOf(given), defineTopic('t', { events, ...options }))
    for await (const page of source.read(0, new AbortController().signal)) if (page.through > 0) return page
    throw new Error('there is no page')
  }
  const placeOf = ({ stream, version }: RecordedEvent) => [stream, version]

  test('count of every message that has one: also of one for others, of one whose data does not fit, and of one that cannot be read', async () => {
    const structured = { ...attributes('Asked', '5'), data: { n: 'none' } }
    const {
      events: taken,
      others,
      problems,
    } = await pageOf({ sequenced: true }, [
      { attributes: attributes('Asked', '0000000000000001'), headers: json },
      { attributes: attributes('Other', '2'), headers: json },
      { attributes: attributes('NobodyKnows', '3'), headers: json },
      { attributes: attributes('Asked', '4'), headers: json, body: Buffer.from('{') },
      { headers: { 'content-type': 'application/cloudevents+json' }, body: Buffer.from(JSON.stringify(structured)) },
    ])
    expect(taken.map(placeOf)).toEqual([['asked:1', 1]])
    expect(others!.map(placeOf)).toEqual([
      ['asked:1', 2],
      ['asked:1', 3],
    ])
    expect(problems!.map(({ event }) => placeOf(event))).toEqual([
      ['asked:1', 4],
      ['asked:1', 5],
    ])
  })

  test('those of others are what `read` says, and one that says nonsense is a problem', async () => {
    const read: TopicOptions['read'] = ({ json: parsed }) => parsed() as ReturnType<NonNullable<TopicOptions['read']>>
    const bodies = [{ sequence: 7 }, { sequence: 8, key: 'other' }, {}, { sequence: 1.5 }, { sequence: -1 }]
    const { events: taken, problems } = await pageOf(
      { sequenced: true, read },
      bodies.map((body, id) => ({ id: `m${id}`, body: Buffer.from(JSON.stringify({ type: 'Asked', data: { n: 1 }, ...body })) })),
    )
    expect(taken.map(placeOf)).toEqual([
      ['t:k', 7],
      ['t:other', 8],
      ['t:k', 0],
    ])
    expect(problems!.map(({ error }) => String(error))).toEqual([
      expect.stringMatching(/sequence is 1.5/),
      expect.stringMatching(/sequence is -1/),
    ])
  })

  test('say nothing where the topic is not sequenced', async () => {
    const page = await pageOf({}, [{ attributes: attributes('Other', '1'), headers: json }])
    expect(page).toMatchObject({ events: [], others: [], through: 1 })
  })
})

test('a broker that keeps the offsets is told only of messages that nothing unfinished comes before, and of those that were for nobody here', async () => {
  const acknowledged: (number | undefined)[] = []
  const received = Array.from({ length: 5 }, (_, offset): ReceivedMessage => {
    const attributes = { specversion: '1.0', id: `m${offset}`, source: 's', type: offset < 4 ? 'Asked' : 'Unknown' }
    const headers = { 'content-type': 'application/json' }
    return { id: `m${offset}`, key: 'k', attributes, headers, body: Buffer.from('{}'), topic: 't', partition: 0, offset, timeMs: 0 }
  })
  const partition = partitionOf(received)
  const source = await sourceOf({
    ...partition,
    acknowledge: async (messages) => void acknowledged.push(...messages.map(({ offset }) => offset)),
  })
  for await (const { events, through } of source.read(0, new AbortController().signal)) {
    if (through === 0) continue
    expect(events).toHaveLength(4)
    const [first, second, third, fourth] = events
    source.finished([second!, fourth!], 0)
    expect(acknowledged).toEqual([])
    source.finished([first!], 2)
    expect(acknowledged).toEqual([0])
    source.finished([third!], 5)
    expect(acknowledged).toEqual([0, 4])
    source.finished([], 5)
    expect(acknowledged).toEqual([0, 4])
    break
  }
})
