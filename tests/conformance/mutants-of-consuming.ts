import { setTimeout as delay } from 'node:timers/promises'
import type { ReceivedMessage } from '../../src/transport/port.ts'
import type { Mutant } from './broken.ts'
import { consuming, receivingBatches, subscribing } from './broken.ts'

const partition = { ordering: 'partition' } as const
const queue = { ordering: 'queue' } as const
const history = { ordering: 'queue', keepsHistory: true } as const

const acknowledgingByItself = consuming((inner) => ({
  async *read(after) {
    for await (const batch of inner.read(after)) {
      await inner.acknowledge(batch)
      yield batch
    }
  },
}))

export const mutantsOfDelivery: readonly Mutant[] = [
  {
    defect: 'gives a message twice now and then',
    of: queue,
    caughtBy: ['delivery: each message is given to a group once'],
    connection: receivingBatches((batch) => [...batch, ...batch.filter((_, index) => index === 3)]),
  },
  {
    defect: 'keeps a message until the next one comes',
    of: queue,
    caughtBy: ['delivery: a message comes soon'],
    connection: consuming((inner) => ({
      async *read(after) {
        let kept: readonly ReceivedMessage[] | undefined
        for await (const batch of inner.read(after)) {
          if (kept) yield kept
          kept = batch
        }
      },
    })),
  },
  {
    defect: 'takes all groups for one',
    of: queue,
    caughtBy: ['delivery: several groups each get every message'],
    connection: (connection) => ({
      ensureGroup: (topic, _, startAt) => connection.ensureGroup(topic, 'all', startAt),
      subscribe: (options) => connection.subscribe({ ...options, group: 'all' }),
    }),
  },
  {
    defect: 'publishes to all topics',
    of: queue,
    caughtBy: ['delivery: topics are apart'],
    connection: (connection, shared) => ({
      ensureTopic: async (topic) => {
        shared[topic.name] = true
        await connection.ensureTopic(topic)
      },
      publish: async (_, messages) => {
        const [first] = await Promise.all(Object.keys(shared).map((topic) => connection.publish(topic, messages)))
        return first!
      },
    }),
  },
  {
    defect: 'ignores maxMessages',
    of: queue,
    caughtBy: [
      'delivery: messages come in batches',
      'acknowledging: who acknowledges nothing gets at most maxMessages',
      'acknowledging: who does not read keeps others',
    ],
    connection: subscribing(() => ({ maxMessages: 1_000 })),
  },
  {
    defect: 'ignores maxBytes',
    of: queue,
    caughtBy: ['delivery: a batch is not much larger than maxBytes'],
    connection: subscribing(() => ({ maxBytes: Infinity })),
  },
  {
    defect: 'forgets a run that rejected',
    of: queue,
    caughtBy: ['delivery: a run that rejects is called again'],
    connection: (connection) => ({
      subscribe: (options) => connection.subscribe({ ...options, run: (one) => options.run(one).catch(() => undefined) }),
    }),
  },
  {
    defect: 'does not wait for run when a subscription is closed',
    of: queue,
    caughtBy: ['delivery: closing a subscription waits'],
    connection: (connection) => ({
      async subscribe(options) {
        const subscription = await connection.subscribe(options)
        return { close: async () => void subscription.close() }
      },
    }),
  },
  {
    defect: 'begins at the end when asked for something else',
    of: queue,
    caughtBy: ['delivery: a start that the transport does not know'],
    connection: (connection) => ({
      ensureGroup: (topic, group) => connection.ensureGroup(topic, group, { at: 'end' }),
      subscribe: (options) => connection.subscribe({ ...options, startAt: { at: 'end' } }),
    }),
  },
]

export const mutantsOfLateness: readonly Mutant[] = [
  {
    defect: 'waits for ever in a partition that was taken away',
    of: queue,
    caughtBy: ['delivery: reading what was taken away'],
    connection: consuming((inner) => ({
      async *read(after) {
        if (inner.revoked.aborted) await new Promise(() => {})
        yield* inner.read(after)
      },
    })),
  },
  {
    defect: 'makes an error of what is acknowledged or released too late',
    of: queue,
    caughtBy: ['delivery: to acknowledge or release too late'],
    connection: consuming((inner) => ({
      async acknowledge(messages) {
        if (inner.revoked.aborted) throw new Error('the channel is closed')
        await inner.acknowledge(messages)
      },
    })),
  },
]

export const mutantsOfAcknowledging: readonly Mutant[] = [
  {
    defect: 'forgets acknowledgements',
    of: queue,
    caughtBy: ['acknowledging: what was acknowledged does not come again'],
    connection: consuming(() => ({ acknowledge: async () => {} })),
  },
  {
    defect: 'acknowledges by itself',
    of: queue,
    caughtBy: [
      'acknowledging: what was not acknowledged comes again',
      'members of a group: when one leaves',
      'members of a group: when one is gone',
      'lag: holds what was read and not finished',
    ],
    connection: acknowledgingByItself,
  },
  {
    defect: 'ignores what is released',
    of: queue,
    caughtBy: ['acknowledging: what was released comes soon again'],
    connection: consuming(() => ({ release: async () => {} })),
  },
  {
    defect: 'acknowledges the first of several only',
    of: queue,
    caughtBy: ['acknowledging: messages may be finished in any order'],
    connection: consuming((inner) => ({ acknowledge: (messages) => inner.acknowledge(messages.slice(0, 1)) })),
  },
  {
    defect: 'gives a message to somebody else after a second',
    of: queue,
    caughtBy: ['acknowledging: a message that is worked on for long'],
    connection: consuming((inner) => ({
      async *read(after) {
        for await (const batch of inner.read(after)) {
          void delay(1_000).then(() => inner.release(batch))
          yield batch
        }
      },
    })),
  },
]

const ignoringOffsets = consuming((inner) => ({ read: () => inner.read() }))

export const mutantsOfMembers: readonly Mutant[] = [
  {
    defect: 'takes each member for a group of its own',
    of: history,
    caughtBy: ['members of a group: several share the messages'],
    connection: (connection, shared) => {
      shared['connections'] = Number(shared['connections'] ?? 0) + 1
      const own = String(shared['connections'])
      return { subscribe: (options) => connection.subscribe({ ...options, group: `${options.group}${own}` }) }
    },
  },
  {
    defect: 'reads a partition from its beginning after each change of members',
    of: partition,
    caughtBy: [
      'members of a group: one that comes while another works',
      'offsets: reading after an offset',
      'offsets: reading after the last',
    ],
    connection: ignoringOffsets,
  },
  {
    defect: 'says that it orders keys among members, and does not',
    of: queue,
    caughtBy: ['order among members: no message of a key overtakes', 'keys among members: no message of a key'],
    connection: ({ capabilities }) => ({ capabilities: { ...capabilities, ordering: 'group' } }),
  },
  {
    defect: 'does not wait for run when a partition is taken away',
    of: partition,
    caughtBy: ['partitions among members: nobody is given a partition'],
    connection: (connection) => ({
      subscribe: (options) =>
        connection.subscribe({
          ...options,
          run: (one) =>
            Promise.race([options.run(one), new Promise<void>((resolve) => one.revoked.addEventListener('abort', () => resolve()))]),
        }),
    }),
  },
]
