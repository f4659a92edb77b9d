import { setTimeout as delay } from 'node:timers/promises'
import { OffsetOutOfRangeError } from '../../src/transport/errors.ts'
import type { ReceivedMessage, Transport } from '../../src/transport/port.ts'
import type { Breakage, Mutant } from './broken.ts'
import { broken, consuming, receivingBatches, sending, subscribing } from './broken.ts'

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

/** A line in name only: what `cut` and the others do is for the defect to say. */
function line(
  breakage: (state: { cuts: number; isRefusing: boolean; accepted: Promise<void> }) => Breakage,
): NonNullable<Mutant['harness']> {
  return (healthy: Transport) => ({
    async interruptible() {
      const { promise: accepted, resolve } = Promise.withResolvers<void>()
      const state = { cuts: 0, isRefusing: false, accepted }
      return {
        transport: broken(healthy, breakage(state)),
        cut: () => void state.cuts++,
        refuse: () => void (state.isRefusing = true),
        accept() {
          state.isRefusing = false
          resolve()
        },
        close: async () => {},
      }
    },
  })
}

export const mutantsOfInterruptions: readonly Mutant[] = [
  {
    defect: 'confirms what was on its way when the connection broke',
    of: queue,
    caughtBy: ['interruptions: connections cut while publishing'],
    harness: line((state) => (connection) => {
      let seen = 0
      return {
        async publish(topic, messages) {
          if (state.cuts === seen) return connection.publish(topic, messages)
          seen = state.cuts
          return messages.map(() => ({ ok: true }))
        },
      }
    }),
  },
  {
    defect: 'receives nothing after the connection broke',
    of: queue,
    caughtBy: ['interruptions: connections cut while consuming'],
    harness: line((state) =>
      consuming((inner) => ({
        async *read(after) {
          for await (const batch of inner.read(after)) if (state.cuts === 0) yield batch
        },
      })),
    ),
  },
  {
    defect: 'gives up at once when the server is away',
    of: queue,
    caughtBy: ['interruptions: a server that is away for a moment'],
    harness: line((state) => (connection) => ({
      async publish(topic, messages) {
        if (!state.isRefusing) return connection.publish(topic, messages)
        return messages.map(() => ({ ok: false, refused: false, error: new Error('ECONNREFUSED') }))
      },
    })),
  },
  {
    defect: 'cannot be closed while the server is away',
    of: queue,
    caughtBy: ['interruptions: a connection whose server is away can be closed'],
    harness: line((state) => (connection) => ({
      async close() {
        if (state.isRefusing) await state.accepted
        await connection.close()
      },
    })),
  },
]
