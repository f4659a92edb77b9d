import { Connection } from 'rabbitmq-client'
import { delayedName, delayedPrefix, dueName } from '../../../src/transport/rabbitmq/delayed-name.ts'
import type { Transport, TransportConnection } from '../../../src/transport/port.ts'

/** The groups that were made of each topic, so that they can be removed: AMQP lists no queues. */
const groupsOf = new Map<string, Set<string>>()

/** The same transport, remembering what is made by way of it. */
export function recorded(transport: Transport): Transport {
  return {
    name: transport.name,
    async connect(options): Promise<TransportConnection> {
      const connection = await transport.connect(options)
      return new Proxy(connection, {
        get(target, property) {
          const value: unknown = Reflect.get(target, property, target)
          if (typeof value !== 'function') return value
          const call = value as (...given: unknown[]) => unknown
          if (property === 'ensureGroup')
            return (topic: string, group: string, ...rest: unknown[]) => {
              note(topic, group)
              return call.call(target, topic, group, ...rest)
            }
          if (property === 'publish')
            return (topic: string, messages: readonly { readonly delayMs?: number }[]) => {
              for (const { delayMs = 0 } of messages) if (delayMs > 0) note(delayed, delayedName(topic, delayMs))
              return call.call(target, topic, messages)
            }
          if (property === 'subscribe')
            return (given: { readonly topic: string; readonly group: string }) => {
              note(given.topic, given.group)
              return call.call(target, given)
            }
          return call.bind(target)
        },
      })
    },
  }
}

/** Stands for all topics. */
const delayed = '*'

function note(topic: string, group: string): void {
  const groups = groupsOf.get(topic) ?? new Set()
  groupsOf.set(topic, groups.add(group))
}

/** Deletes the topic's exchange, and the queues of its groups. */
export async function removeTopic(url: string, topic: string, groups: readonly string[] = []): Promise<void> {
  await withClient(url, async (client) => {
    await client.exchangeDelete({ exchange: topic })
    for (const group of [...groups, ...(groupsOf.get(topic) ?? [])]) await client.queueDelete({ queue: `${topic}.${group}` })
    groupsOf.delete(topic)
    await client.exchangeDelete({ exchange: dueName(topic) })
    await client.queueDelete({ queue: dueName(topic) })
    for (const queue of groupsOf.get(delayed) ?? []) if (queue.startsWith(delayedPrefix(topic))) await client.queueDelete({ queue })
  })
}

/** The client library by itself, as a foreign program would use it. */
export async function withClient<T>(url: string, use: (client: Connection) => Promise<T>): Promise<T> {
  const client = new Connection(url)
  client.on('error', () => undefined)
  try {
    await client.onConnect()
    return await use(client)
  } finally {
    await client.close()
  }
}
