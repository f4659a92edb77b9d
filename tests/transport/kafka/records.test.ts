import assert from 'node:assert/strict'
import { test } from 'vitest'
import type { IncomingRecord } from '../../../src/transport/kafka/records.ts'
import { addHeaders, fromRecord, toRecord } from '../../../src/transport/kafka/records.ts'

const place = { topic: 't', partition: 1, offset: 2, timeMs: 3 }

function incoming(headers: readonly (readonly [string, string])[]): IncomingRecord {
  return { key: null, value: null, headers: headers.map(([name, value]) => [Buffer.from(name), Buffer.from(value)]) }
}

test('headers are told apart by their names, whatever stood at their place in the message before', () => {
  const all: readonly (readonly [string, string])[][] = [
    [
      ['ce_id', '1'],
      ['ce_type', 'a'],
      ['tenant', 'x'],
    ],
    [
      ['ce_id', '2'],
      ['ce_typo', 'b'],
      ['tenent', 'y'],
    ],
    [
      ['tenant', 'z'],
      ['ce_id', '3'],
      ['ce_', 'w'],
      ['żółć', 'v'],
      ['headwater-id', 'own'],
    ],
  ]
  for (const _ of [1, 2]) {
    const [first, second, third] = all.map((headers) => fromRecord(incoming(headers), place))
    assert.deepEqual([first?.attributes, first?.headers], [{ id: '1', type: 'a' }, { tenant: 'x' }])
    assert.deepEqual([second?.attributes, second?.headers], [{ id: '2', typo: 'b' }, { tenent: 'y' }])
    assert.deepEqual([third?.attributes, third?.headers, third?.id], [{ id: '3', '': 'w' }, { tenant: 'z', żółć: 'v' }, 'own'])
  }
})

test('a message that came without an id goes on without one, with the headers that it is given', () => {
  const message = fromRecord(incoming([['tenant', 'x']]), place)
  const record = addHeaders(toRecord(message), { tenant: Buffer.from([0, 0, 0, 7]), reason: Buffer.from('why') })
  const headers = [...record.headers].map(([name, value]) => [name.toString(), [...value]])
  assert.deepEqual(headers, [
    ['tenant', [0, 0, 0, 7]],
    ['reason', [...Buffer.from('why')]],
  ])
  assert.ok(record.bytes >= toRecord(message).bytes + 'reason'.length + 'why'.length)
})
