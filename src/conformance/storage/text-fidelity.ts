import assert from 'node:assert/strict'
import type { StorageDriver } from '../../storage/port.ts'
import type { BehaviourGroup } from './behaviour.ts'
import { awkwardNames } from './names.ts'
import { assertRecorded, recorded, wholeLog } from './recorded.ts'
import { collection, makeCollection } from './traces.ts'
import { append, appending, event, mustCommit } from './write-sets.ts'

const nested = (depth: number): string => `${'[{"a":'.repeat(depth)}0${'}]'.repeat(depth)}`

/** JSON texts that `JSON.stringify(JSON.parse(text))` gives back unchanged, so that a change by the store shows after parsing. */
const texts: readonly (readonly [string, string])[] = [
  ['null', 'null'],
  ['true and false', '[true,false]'],
  ['a bare text', '"text"'],
  ['an empty text, object and array', '["",{},[]]'],
  ['keys out of order', '{"zebra":1,"a":2,"mm":3,"B":4,"":5}'],
  ['keys that look alike', '{"a":1,"A":2,"a ":3," a":4,"á":5,"a\u0301":6}'],
  ['keys with a meaning in JavaScript', '{"constructor":1,"toString":2,"length":3,"then":4}'],
  ['large, small and exact numbers', '[1e+21,1.7976931348623157e+308,5e-324,9007199254740991,-9007199254740991,1e-7,0.000001]'],
  ['numbers that are not what they seem', '[0.1,0.30000000000000004,100,1.5,-1.5,123456789012345680000]'],
  ['quotes and backslashes', String.raw`{"quote\"":"it's \"quoted\"","back\\slash":"\\ \\\\ \\n \\u0041 \\"}`],
  ['placeholders and dollar quotes', '["$1","$$","$tag$ text $tag$","?","??",":a","@b","%s","{0}","${x}"]'],
  ['the beginning and end of literals', JSON.stringify(`'{}"\\`)],
  ['an attempt at injection', `["'); drop table events; --","' or '1'='1","\\\\'); --"]`],
  ['control characters', String.raw`"\b\t\n\f\r\u0001\u001f"`],
  ['text of many scripts', '["Grüße","日本語","العربية","עברית","हिन्दी","Ελληνικά","한국어"]'],
  ['emoji, joined and with modifiers', '["😀","👩‍👩‍👧‍👦","👍🏽","🇨🇭","✈️"]'],
  ['combining characters, not normalised', '["e\u0301","\u00e9","\u1e9b\u0323","\u212b","\u00c5"]'],
  ['characters beside the surrogates and at the end of Unicode', '["\ud7ff","\ue000","\ufffd","\uffff","\u{10000}","\u{10ffff}"]'],
  ['invisible characters', '["\u200b\u200d\ufeff\u00a0\u2028\u2029\u202e\u007f\u0085"]'],
  ['dates and numbers as text', '["2024-02-30T25:61:00Z","0x10","1e3","NaN","Infinity","NULL"]'],
  ['blanks in text', '["  leading","trailing  ","tab\\tnew\\nline","  "]'],
  ['deep nesting', nested(250)],
  ['a long array', `[${Array.from({ length: 5_000 }, (_, index) => index).join(',')}]`],
  ['many keys', `{${Array.from({ length: 2_000 }, (_, index) => `"key ${(index * 7919) % 2_000}":${index}`).join(',')}}`],
]

/** JSON texts that come out otherwise when written again, but must mean the same. */
const foreign: readonly (readonly [string, string, unknown])[] = [
  ['a negative zero', '[-0,-0.0]', [-0, -0]],
  ['numbers in other notations', '[1.0,1E3,100e-2,1e21,12345678901234567890]', [1, 1_000, 1, 1e21, Number('12345678901234567890')]],
  ['escapes', String.raw`["\u0041\u00e9\ud83d\ude00\/"]`, ['Aé😀/']],
  ['blanks between the parts', ' {\n\t"a" : [ 1 , 2 ] \r\n} ', { a: [1, 2] }],
  ['a key twice, of which the last counts', '{"a":1,"b":2,"a":3}', { a: 3, b: 2 }],
]

/**
 * What the store gives back for a text as data, metadata (where it is an object), snapshot and document. The event is stored three times: in a
 * set with other things, in one alone, and in sets that share a call, for which a driver may have three ways.
 */
async function roundTrip(
  driver: StorageDriver,
  text: string,
): Promise<{ data: unknown; metadata: unknown; state: unknown; document: string }> {
  await makeCollection(driver)
  const content = { data: text, metadata: text.trim().startsWith('{') ? text : null }
  await mustCommit(driver, {
    appends: [append('order:1', 'any', [event(content)])],
    snapshots: [{ stream: 'order:1', aggregate: 'order', schemaVersion: 1, version: 1, state: text }],
    documents: [{ collection, key: 'k', document: text, fields: [''], words: null }],
  })
  await mustCommit(driver, appending('order:1', 1, [event(content)]))
  await driver.commit([appending('order:1', 2, [event(content)]), appending('order:2')])
  const [one, ...others] = await driver.readStream({ stream: 'order:1', direction: 'forwards', limit: 10 })
  const { snapshot } = await driver.loadStream({ stream: 'order:1', snapshot: { aggregate: 'order', schemaVersion: 1 }, limit: 1 })
  const document = (await driver.documents.get(collection, ['k'])).get('k')
  assert.ok(one && snapshot && document !== undefined)
  assert.equal(others.length, 2)
  for (const other of others) assert.deepEqual([other.data, other.metadata], [one.data, one.metadata])
  return { data: one.data, metadata: one.metadata, state: snapshot.state, document }
}

const faithful = texts.map(([what, text]): [string, BehaviourGroup['behaviours'][string]] => [
  `keeps ${what}`,
  async ({ driver }) => {
    assert.equal(JSON.stringify(JSON.parse(text)), text, 'the suite itself is right')
    const { data, metadata, state, document } = await roundTrip(driver, text)
    assert.equal(JSON.stringify(data), text, 'data')
    if (text.startsWith('{')) assert.equal(JSON.stringify(metadata), text, 'metadata')
    assert.equal(JSON.stringify(state), text, 'snapshot')
    assert.equal(document, text, 'document')
  },
])

const understood = foreign.map(([what, text, value]): [string, BehaviourGroup['behaviours'][string]] => [
  `understands ${what}`,
  async ({ driver }) => {
    const { data, state, document } = await roundTrip(driver, text)
    assert.deepEqual(data, value)
    assert.deepEqual(state, value)
    assert.deepEqual(JSON.parse(document), value)
  },
])

export const textFidelity: BehaviourGroup = {
  group: 'texts and values',
  behaviours: {
    ...Object.fromEntries([...faithful, ...understood]),

    async 'keeps a payload of a mebibyte'({ driver }) {
      const text = JSON.stringify({ text: "😀'\\é".repeat(120_000) })
      assert.ok(Buffer.byteLength(text) > 1024 * 1024)
      assert.equal(JSON.stringify((await roundTrip(driver, text)).data), text)
    },

    async 'keeps names of all kinds in every place that has one'({ driver }) {
      const all = awkwardNames.map((name) => ({
        name,
        one: event({ id: name, source: name, type: name, correlationId: name, causationId: name, tags: [name, `${name},`, `"${name}"`] }),
      }))
      await mustCommit(driver, { appends: all.map(({ name, one }) => append(name, 'no-stream', [one])) })
      const expected = all.map(({ name, one }, index) => recorded(one, { stream: name, version: 1, position: index + 1 }))
      assertRecorded(await wholeLog(driver), expected)
      for (const { name, one } of all) await mustCommit(driver, appending(`${name} alone`, 0, [{ ...one, source: `${name} alone` }]))
      const alone = all.map(({ name, one }, index) => {
        return recorded({ ...one, source: `${name} alone` }, { stream: `${name} alone`, version: 1, position: all.length + index + 1 })
      })
      assertRecorded(await driver.readLog({ after: all.length, limit: 1_000 }), alone)
      for (const [index, { name, one }] of all.entries()) {
        assertRecorded(await driver.readStream({ stream: name, direction: 'backwards', limit: 2 }), [expected[index]!])
        assertRecorded(await driver.findEvents([one]), [expected[index]!])
      }
    },

    async 'keeps tags in their order, as many as there are'({ driver }) {
      const tags = ['z', 'a', 'm:1', 'a:b:c', '10', '9', ...Array.from({ length: 14 }, (_, index) => `t${(index * 5) % 14}`)]
      await mustCommit(driver, appending('order:1', 'any', [event({ tags }), event(), event({ tags: ['only'] })]))
      assert.deepEqual(
        (await wholeLog(driver)).map((one) => [...one.tags]),
        [tags, [], ['only']],
      )
    },

    async 'keeps metadata, and gives an empty object where there is none'({ driver }) {
      const metadata = '{"z":{"y":[1,null]},"a":"é","__proto__":{"polluted":true}}'
      await mustCommit(driver, appending('order:1', 'any', [event({ metadata }), event(), event({ metadata: '{}' })]))
      const [first, second, third] = await wholeLog(driver)
      assert.equal(JSON.stringify(first?.metadata), metadata)
      assert.deepEqual([{ ...second?.metadata }, { ...third?.metadata }], [{}, {}])
      assert.equal(({} as { polluted?: boolean }).polluted, undefined)
    },

    async 'keeps every time that a Date can hold, to the millisecond'({ driver }) {
      const times = [
        0, -1, 1, 999, 1_700_000_000_001, -62_135_596_800_000, 253_402_300_799_999, 8_640_000_000_000_000, -8_640_000_000_000_000,
      ]
      await mustCommit(driver, {
        appends: [
          append(
            'order:1',
            'any',
            times.map((timeMs) => event({ timeMs })),
          ),
        ],
      })
      assert.deepEqual(
        (await wholeLog(driver)).map(({ time }) => time.getTime()),
        times,
      )
      const before = await driver.readStream({ stream: 'order:1', untilMs: -1, direction: 'forwards', limit: 10 })
      assert.deepEqual(
        before.map(({ time }) => time.getTime()),
        times.filter((time) => time <= -1),
      )
    },

    async 'keeps schema versions up to the largest'({ driver }) {
      const versions = [1, 2, 1_000, 0x7fffffff]
      await mustCommit(driver, {
        appends: [
          append(
            'order:1',
            'any',
            versions.map((schemaVersion) => event({ schemaVersion })),
          ),
        ],
      })
      assert.deepEqual(
        (await wholeLog(driver)).map(({ schemaVersion }) => schemaVersion),
        versions,
      )
    },
  },
}
