import { OffsetOutOfRangeError } from '../../src/transport/errors.ts'
import type { Breakage, Mutant } from './broken.ts'
import { consuming, sending } from './broken.ts'

const partition = { ordering: 'partition' } as const
const queue = { ordering: 'queue' } as const
const history = { ordering: 'queue', keepsHistory: true } as const

const beginningAt = (at: 'beginning' | 'end'): Breakage => {
  const startAt = { at } as const
  return (connection) => ({
    ensureGroup: (topic, group) => connection.ensureGroup(topic, group, startAt),
    subscribe: (options) => connection.subscribe({ ...options, startAt }),
  })
}

export const mutantsOfPlaces: readonly Mutant[] = [
  {
    defect: 'always begins at the end',
    of: history,
    caughtBy: ['start at the beginning: a group that is made later'],
    connection: beginningAt('end'),
  },
  {
    defect: 'always begins at the beginning',
    of: history,
    caughtBy: [
      'start at the end: a group gets nothing',
      'start at a time: a group gets what came',
      'start at a time: a time at which nothing',
    ],
    connection: beginningAt('beginning'),
  },
  {
    defect: 'does not make a group before somebody listens',
    of: history,
    caughtBy: ['start at the end of a queue: a group that was made before'],
    connection: () => ({ ensureGroup: async () => {} }),
  },
  {
    defect: 'goes on where the broker knows the group to be',
    of: partition,
    caughtBy: ['offsets: what was acknowledged does not decide'],
    connection: consuming((inner, shared, { topic, group }) => ({
      read: (after) => inner.read(Math.max(after ?? -1, Number(shared[topic + group] ?? -1))),
      async acknowledge(messages) {
        shared[topic + group] = messages.at(-1)?.offset
        await inner.acknowledge(messages)
      },
    })),
  },
  {
    defect: 'reads a partition once in a run',
    of: partition,
    caughtBy: ['offsets: reading again in the same run'],
    connection: consuming((inner) => {
      let last: number | undefined
      return {
        async *read(after) {
          for await (const batch of inner.read(last ?? after)) {
            last = batch.at(-1)?.offset
            yield batch
          }
        },
      }
    }),
  },
  {
    defect: 'jumps to the beginning when a checkpoint is out of range',
    of: partition,
    caughtBy: ['offsets: a checkpoint behind the end', 'forgotten offsets: a checkpoint whose next message is not kept'],
    connection: consuming((inner) => ({
      async *read(after) {
        try {
          yield* inner.read(after)
        } catch (error) {
          if (!(error instanceof OffsetOutOfRangeError)) throw error
          yield* inner.read()
        }
      },
    })),
  },
  {
    defect: 'wants the finished message to be kept, not only the next one',
    of: partition,
    caughtBy: ['forgotten offsets: a checkpoint whose next message is the first'],
    connection: consuming((inner) => ({ read: (after) => inner.read(after === undefined ? undefined : after - 1) })),
  },
  {
    defect: 'resets nothing',
    of: history,
    caughtBy: [
      'reset: a group that was put back to the beginning',
      'reset: a group that was put to the end',
      'reset: a group that is new',
      'reset: a group that was put to a time',
    ],
    connection: () => ({ resetGroup: async () => [{ partition: undefined, after: undefined, messages: 3 }] }),
  },
  {
    defect: 'resets each group that it knows',
    of: history,
    caughtBy: ['reset: other groups'],
    connection: (connection, shared) => ({
      async ensureGroup(topic, group, startAt) {
        shared[`${topic} ${group}`] = true
        await connection.ensureGroup(topic, group, startAt)
      },
      async resetGroup(topic, group, startAt) {
        for (const known of Object.keys(shared)) {
          const [of, other] = known.split(' ')
          if (of === topic) await connection.resetGroup(topic, other!, startAt)
        }
        return connection.resetGroup(topic, group, startAt)
      },
    }),
  },
  {
    defect: 'takes offset 0 for finished where nothing is',
    of: partition,
    caughtBy: ['reset: the end of an empty topic', 'reset: a group that was put back to the beginning'],
    connection: (connection) => ({
      resetGroup: async (...args) =>
        (await connection.resetGroup(...args)).map((place) => ({ ...place, after: Math.max(0, place.after!) })),
    }),
  },
  {
    defect: 'knows every topic when it resets',
    of: history,
    caughtBy: ['reset: of a topic that is not there'],
    connection: () => ({ resetGroup: async () => [] }),
  },
  {
    defect: 'has one place for all partitions',
    of: partition,
    caughtBy: ['reset of partitions: each partition'],
    connection: (connection) => ({ resetGroup: async (...args) => (await connection.resetGroup(...args)).slice(0, 1) }),
  },
  {
    defect: 'resets without history',
    of: queue,
    caughtBy: ['without reset: a transport without history'],
    connection: () => ({ resetGroup: async () => [] }),
  },
  {
    defect: 'sees no lag',
    of: queue,
    caughtBy: ['lag: is what was published and not acknowledged'],
    connection: () => ({ lag: async () => [{ partition: undefined, messages: 0 }] }),
  },
  {
    defect: 'adds up the lag of partitions',
    of: partition,
    caughtBy: ['lag: each group has its own'],
    connection: (connection) => ({
      lag: async (...args) => [
        { partition: undefined, messages: (await connection.lag(...args)).reduce((sum, { messages }) => sum + messages, 0) },
      ],
    }),
  },
  {
    defect: 'says that it knows priorities, and forgets them',
    of: { ordering: 'queue', priorities: true },
    caughtBy: ['priorities: what waits is given out by priority'],
    connection: sending((message) => ({ ...message, priority: 'normal' })),
  },
]
