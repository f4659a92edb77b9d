import { setTimeout as delay } from 'node:timers/promises'
import { MessageTooLargeError, TopicMismatchError } from '../../src/transport/errors.ts'
import type { OutgoingMessage } from '../../src/transport/port.ts'
import type { Mutant } from './broken.ts'
import { receiving, sending, sendingAll } from './broken.ts'

const partition = { ordering: 'partition' } as const
const queue = { ordering: 'queue' } as const

const swapped = (messages: readonly OutgoingMessage[]): readonly OutgoingMessage[] => {
  const [first, ...others] = messages
  const index = others.findIndex(({ key }) => key === first?.key)
  return first && index >= 0 ? [others[index]!, ...others.with(index, first)] : messages
}

export const mutantsOfConnecting: readonly Mutant[] = [
  {
    defect: 'calls itself something else',
    of: queue,
    caughtBy: ['connecting: the capabilities say what the transport is'],
    connection: ({ capabilities }) => ({ capabilities: { ...capabilities, name: 'rumour' } }),
  },
  {
    defect: 'answers after it was closed',
    of: queue,
    caughtBy: ['connecting: a connection that was closed says so'],
    connection: () => ({ lag: async () => [] }),
  },
  {
    defect: 'can be closed only once',
    of: queue,
    caughtBy: ['connecting: closing twice'],
    connection(connection) {
      let closed = 0
      return {
        close: async () => (closed++ > 0 ? Promise.reject(new Error('closed already')) : connection.close()),
      }
    },
  },
  {
    defect: 'is closed before what was given is sent',
    of: queue,
    caughtBy: ['connecting: closing sends what is being sent'],
    connection: (connection) => ({ publish: (...args) => delay(20).then(() => connection.publish(...args)) }),
  },
  {
    defect: 'leaves subscriptions behind when it is closed',
    of: queue,
    caughtBy: ['connecting: closing ends the subscriptions'],
    connection: () => ({ close: async () => {} }),
  },
  {
    defect: 'closes what other connections use',
    of: queue,
    caughtBy: ['connecting: closing one connection leaves others alone'],
    connection: (connection, shared) => ({
      close: async () => {
        shared['closed'] = true
        await connection.close()
      },
      publish: async (...args) => (shared['closed'] === true ? Promise.reject(new Error('closed')) : connection.publish(...args)),
    }),
  },
  {
    defect: 'says nothing of who cannot be reached',
    of: queue,
    caughtBy: ['unreachable: a server that cannot be reached'],
    harness: () => ({ unreachable: { name: 'memory', connect: () => Promise.reject(new Error('ECONNREFUSED')) } }),
  },
]

export const mutantsOfTopics: readonly Mutant[] = [
  {
    defect: 'refuses a topic that is there',
    of: queue,
    caughtBy: ['topics: one that is there is found again'],
    connection: (connection, shared) => ({
      async ensureTopic(topic) {
        if (shared[topic.name] !== undefined) throw new TopicMismatchError(topic.name, 'existence', false, true)
        shared[topic.name] = true
        await connection.ensureTopic(topic)
      },
    }),
  },
  {
    defect: 'cannot make a topic while others make it',
    of: queue,
    caughtBy: ['topics: one that several make at the same time'],
    connection: (connection, shared) => ({
      async ensureTopic(topic) {
        if (shared[topic.name] === 'being made') throw new Error('a topic of this name is being made')
        shared[topic.name] = 'being made'
        await connection.ensureTopic(topic)
        shared[topic.name] = 'made'
      },
    }),
  },
  {
    defect: 'does not look at the number of partitions',
    of: partition,
    caughtBy: ['topics: one with another number of partitions'],
    connection: (connection) => ({
      ensureTopic: (topic) =>
        connection.ensureTopic(topic).catch((error: unknown) => {
          if (!(error instanceof TopicMismatchError)) throw error
        }),
    }),
  },
  {
    defect: 'makes topics by itself',
    of: queue,
    caughtBy: ['topics: one that is not there is unknown to who subscribes', 'topics: one that is not there is unknown to who publishes'],
    connection: (connection) => ({
      async publish(topic, messages) {
        await connection.ensureTopic({ name: topic })
        return connection.publish(topic, messages)
      },
      async ensureGroup(topic, ...args) {
        await connection.ensureTopic({ name: topic })
        await connection.ensureGroup(topic, ...args)
      },
    }),
  },
]

export const mutantsOfPublishing: readonly Mutant[] = [
  {
    defect: 'has an outcome for nothing',
    of: queue,
    caughtBy: ['publishing: nothing to publish has no outcomes'],
    connection: (connection) => ({
      publish: async (topic, messages) => (messages.length === 0 ? [{ ok: true }] : connection.publish(topic, messages)),
    }),
  },
  {
    defect: 'loses the last message of a call, and confirms it',
    of: queue,
    caughtBy: ['publishing: what is confirmed can be read', 'publishing: thousands at once'],
    connection: sendingAll((messages) => messages.slice(0, -1)),
  },
  {
    defect: 'refuses a whole call for one message that is too large',
    of: queue,
    caughtBy: ['publishing: one that is too large is refused by itself', 'order: what stands behind a refused message'],
    connection: (connection, shared) => ({
      async publish(topic, messages) {
        const large = messages.find(({ body }) => body.length > connection.capabilities.maxMessageBytes)
        if (large) shared['refusing'] = true
        if (shared['refusing'] === undefined) return connection.publish(topic, messages)
        const error = new MessageTooLargeError('id', 1, { bytes: connection.capabilities.maxMessageBytes, name: 'limit' })
        return messages.map(() => ({ ok: false, refused: true, error }))
      },
    }),
  },
  {
    defect: 'measures bodies only, and drops the headers of a message that is too large with them',
    of: queue,
    caughtBy: ['publishing: headers count'],
    connection: (connection) =>
      sending((message) =>
        message.body.length > connection.capabilities.maxMessageBytes - 10_000 ? { ...message, headers: {} } : message,
      )(connection, {}),
  },
  {
    defect: 'takes half of what it says',
    of: queue,
    caughtBy: ['publishing: one that is nearly too large is taken'],
    connection: (connection) =>
      sending((message) =>
        message.body.length > connection.capabilities.maxMessageBytes / 2 ? { ...message, body: Buffer.alloc(2_000_000) } : message,
      )(connection, {}),
  },
  {
    defect: 'confirms whatever it is given',
    of: queue,
    caughtBy: ['publishing: many calls at the same time'],
    connection: sendingAll((messages) => messages),
  },
  {
    defect: 'takes equal messages for one',
    of: queue,
    caughtBy: ['publishing: two messages of equal content are two'],
    connection: (connection, shared) =>
      sending((message) => {
        const seen = shared[Buffer.from(message.body).toString('hex')] !== undefined
        shared[Buffer.from(message.body).toString('hex')] = true
        return seen ? undefined : message
      })(connection, shared),
  },
  {
    defect: 'says that it deduplicates and does not',
    of: queue,
    caughtBy: ['publishing: one that is sent again with its id'],
    connection: ({ capabilities }) => ({ capabilities: { ...capabilities, deduplicates: true } }),
  },
]

export const mutantsOfOrder: readonly Mutant[] = [
  {
    defect: 'swaps two messages of a key',
    of: partition,
    caughtBy: ['order: messages of a key come in the order'],
    connection: sendingAll(swapped),
  },
  {
    defect: 'sends a call that is made later sooner',
    of: queue,
    caughtBy: ['order: overlapping calls keep the order'],
    connection(connection) {
      let pauseMs = 40
      return { publish: (...args) => delay((pauseMs -= 1)).then(() => connection.publish(...args)) }
    },
  },
  {
    defect: 'takes longer for what is large',
    of: partition,
    caughtBy: ['order: a large message is not overtaken'],
    connection: (connection) => ({
      publish: (topic, messages) => delay(messages[0]!.body.length > 50_000 ? 50 : 0).then(() => connection.publish(topic, messages)),
    }),
  },
  {
    defect: 'puts a key now here, now there',
    of: partition,
    caughtBy: ['order: a key is always in the same partition'],
    connection: (connection, shared) => {
      shared['connections'] = Number(shared['connections'] ?? 0) + 1
      const own = String(shared['connections'])
      return {
        publish: (topic, messages) =>
          connection.publish(
            topic,
            messages.map((message) => ({ ...message, key: `${own}${message.key}` })),
          ),
        ...receiving((message) => ({ ...message, key: message.key?.slice(1) }))(connection, shared),
      }
    },
  },
]
