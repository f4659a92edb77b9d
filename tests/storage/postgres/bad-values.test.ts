import { expect, test } from 'vitest'
import { append, appending, event } from '../../../src/conformance/storage/write-sets.ts'
import type { EncodedEvent, WriteSet } from '../../../src/storage/write-set.ts'
import { describeOnPostgres } from '../../support/postgres.ts'
import { commitOne, committed, open, poolWith, schemaFor, wholeLog } from './support.ts'

const withEvent = (given: Partial<EncodedEvent>): WriteSet => appending('order:bad', 'any', [event(given)])

/** What the core never lets through, and must be nobody else's trouble if it did. */
const bad: Readonly<Record<string, WriteSet>> = {
  'a NUL in a stream': appending('order:\u0000', 'any'),
  'a NUL in an id': withEvent({ id: 'a\u0000b' }),
  'a NUL in a payload': withEvent({ data: '{"a":"\u0000"}' }),
  'a NUL in a tag': withEvent({ tags: ['\u0000'] }),
  'a payload that is not JSON': withEvent({ data: '{"a":' }),
  'an empty payload': withEvent({ data: '' }),
  'metadata that are not JSON': withEvent({ metadata: '{' }),
  'the separator of payloads in a payload': withEvent({ data: '{}\u001f{}' }),
  'an infinite version': appending('order:bad', Infinity),
  'a version that is not a number': appending('order:bad', NaN),
  'a version with a fraction': appending('order:bad', 0.5),
  'an infinite time': withEvent({ timeMs: -Infinity }),
  'a schema version that is too large': withEvent({ schemaVersion: 2 ** 40 }),
  'an id twice': { appends: [append('order:1', 'any', [event({ id: 'twice' })]), append('order:2', 'any', [event({ id: 'twice' })])] },
  'a document that is not JSON': { appends: [], documents: [{ collection: 'd@1.1', key: 'k', document: '{', fields: [], words: null }] },
  'a collection that does not exist': {
    appends: [],
    documents: [{ collection: 'e@1.1', key: 'k', document: '{}', fields: [], words: null }],
  },
  'a snapshot that is not JSON': { appends: [], snapshots: [{ stream: 's', aggregate: 'a', schemaVersion: 1, version: 1, state: '{' }] },
  'a receipt with a NUL': { appends: [append('order:1')], receipt: { commandId: '\u0000', target: 't', payloadHash: 'h', version: 1 } },
}

describeOnPostgres('values that cannot be stored', (url) => {
  for (const [how, connection] of Object.entries({ 'prepared statements': () => url, 'messages with literals': () => poolWith(url) }))
    test(`fail their own call, and leave nothing behind, in ${how}`, async () => {
      const driver = await open(connection(), { schema: schemaFor(url) })
      await driver.documents.create({ id: 'd@1.1', projection: 'd', version: 1, indexed: [], searchable: false })
      let position = 0
      for (const [what, set] of Object.entries(bad))
        for (const sets of [[set], [appending('order:good'), set, appending('order:good')]]) {
          const error = await driver.commit(sets).then(
            () => undefined,
            (thrown: unknown) => thrown,
          )
          expect(error, what).toBeInstanceOf(Error)
          expect(driver.isTransient(error), `${what}: ${error instanceof Error && error.message}`).toBe(false)
          expect(committed(await commitOne(driver, appending('order:good'))).position, what).toBe(++position)
        }
      expect(await wholeLog(driver)).toHaveLength(position)
    })

  const ways = {
    'prepared statements': () => url,
    'messages with literals': () => poolWith(url),
    'messages with literals, where a backslash escapes': () => poolWith(url, '-c standard_conforming_strings=off'),
  }
  for (const [how, connection] of Object.entries(ways))
    test(`are not made by texts that look like SQL, in ${how}`, async () => {
      const driver = await open(connection(), { schema: schemaFor(url) })
      const texts = [
        "'; drop schema public --",
        "\\'; select 1",
        '$1 $2',
        '$$',
        "E'\\x00'",
        '{"}',
        'NULL',
        '{NULL}',
        '\\',
        '"',
        '\\"',
        '%s %I',
        'ü€😀',
        ' \t ',
      ]
      for (const text of texts) {
        const given = event({
          id: text,
          type: text,
          source: text,
          correlationId: text,
          causationId: text,
          data: JSON.stringify({ [text]: text }),
          tags: [text],
        })
        const receipt = { commandId: text, target: text, payloadHash: text, version: 1 }
        committed(await commitOne(driver, { appends: [append(text, 'no-stream', [given])], receipt }))
        const again = event({ ...given, id: `${text} again`, metadata: JSON.stringify({ [text]: text }) })
        for (const verdict of await driver.commit([appending('other', 'any'), appending(text, 1, [again])])) committed(verdict)
        const [first, second] = await driver.readStream({ stream: text, direction: 'forwards', limit: 10 })
        expect(first).toMatchObject({
          id: text,
          type: text,
          source: text,
          stream: text,
          data: { [text]: text },
          tags: [text],
          correlationId: text,
        })
        expect(second).toMatchObject({ id: `${text} again`, type: text, metadata: { [text]: text }, tags: [text] })
        expect(await driver.findReceipt(text)).toMatchObject({ target: text, payloadHash: text })
        for (const filter of [{ types: [text] }, { correlationId: text }, { query: { items: [{ tags: [text], streams: [text] }] } }])
          expect(await driver.readLog({ after: 0, limit: 10, ...filter })).toHaveLength(2)
      }
    })
})
