import assert from 'node:assert/strict'
import fc from 'fast-check'
import { test } from 'vitest'
import type { GroupMember, TopicPartitions } from '../../../src/transport/kafka/assignment.ts'
import { shareOut } from '../../../src/transport/kafka/assignment.ts'

const member = (id: string, owned: readonly number[] = [], generation = 1): GroupMember => ({
  id,
  topics: ['t'],
  owned: [{ topic: 't', partitions: owned }],
  generation,
})

function shares(members: readonly GroupMember[], count: number): Record<string, readonly number[]> {
  return Object.fromEntries([...shareOut(members, () => count)].map(([id, share]) => [id, share.flatMap(({ partitions }) => partitions)]))
}

test('a third member gets one of four partitions, when its owner has given it up', () => {
  const first = shares([member('a', [0, 1]), member('b', [2, 3]), member('c')], 4)
  assert.deepEqual(first, { a: [0, 1], b: [2], c: [] })
  const second = shares([member('a', first['a'], 2), member('b', first['b'], 2), member('c', [], 2)], 4)
  assert.deepEqual(second, { a: [0, 1], b: [2], c: [3] })
})

test('a partition that two say to have is given to neither until they agree', () => {
  const contested = shares([member('a', [0, 1]), member('b', [1])], 2)
  assert.deepEqual(contested, { a: [0], b: [] })
})

test('who got a partition later has it', () => {
  assert.deepEqual(shares([member('a', [0, 1], 1), member('b', [1], 2)], 2), { a: [0], b: [] })
  assert.deepEqual(shares([member('a', [0], 3), member('b', [1], 2)], 2), { a: [0], b: [1] })
})

test('members of several topics share each of them, and few partitions do not all come to the same', () => {
  const members = ['a', 'b', 'c'].map((id) => ({ ...member(id), topics: ['t', 'u', 'v'] }))
  const loads = [...shareOut(members, () => 1).values()].map((share) => share.length)
  assert.deepEqual(loads, [1, 1, 1])
})

const topics = ['t', 'u', 'v']
const membership = fc.array(fc.subarray(topics, { minLength: 1 }), { minLength: 1, maxLength: 6 })
const counts = fc.record({ t: fc.nat(12), u: fc.nat(12), v: fc.nat(12) })
const owned = (share: readonly TopicPartitions[], topic: string): readonly number[] =>
  share.filter((of) => of.topic === topic).flatMap(({ partitions }) => partitions)

test('whoever comes and goes, in at most three rounds all is shared evenly, and never does anybody get what another has', () => {
  fc.assert(
    fc.property(fc.array(membership, { minLength: 1, maxLength: 4 }), counts, (changes, partitions) => {
      let known: ReadonlyMap<string, readonly TopicPartitions[]> = new Map()
      let generation = 0
      for (const consumed of changes) {
        for (let round = 0; round < 3; round++) {
          const members = consumed.map((ofMember, index) => ({
            id: `m${index}`,
            topics: ofMember,
            owned: (known.get(`m${index}`) ?? []).filter(({ topic }) => ofMember.includes(topic)),
            generation,
          }))
          const next = shareOut(members, (topic) => partitions[topic as 't'])
          for (const [id, share] of next)
            for (const topic of topics)
              for (const { id: other, owned: theirs } of members)
                if (other !== id) for (const one of owned(share, topic)) assert.ok(!owned(theirs, topic).includes(one))
          known = next
          generation++
        }
        for (const topic of topics) {
          const consuming = consumed.flatMap((ofMember, index) =>
            ofMember.includes(topic) ? [owned(known.get(`m${index}`) ?? [], topic)] : [],
          )
          if (consuming.length === 0) continue
          const count = partitions[topic as 't']
          assert.deepEqual(
            consuming.flat().toSorted((a, b) => a - b),
            Array.from({ length: count }, (_, partition) => partition),
          )
          const sizes = consuming.map(({ length }) => length)
          assert.ok(Math.max(...sizes) - Math.min(...sizes) <= 1, `even: ${sizes.join(' ')}`)
        }
      }
    }),
  )
})
