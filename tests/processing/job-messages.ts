import { onTestFinished } from 'vitest'
import { defineEvent } from '../../src/message/event.ts'
import type { RecordedEvent } from '../../src/message/event.ts'
import { environment } from '../../src/observability/environment.ts'
import { silentLog } from '../../src/observability/log.ts'
import { jsonSchema } from '../../src/schema/json-schema.ts'
import type { OutgoingMessage, TransportConnection } from '../../src/transport/port.ts'
import type { Topic } from '../../src/transport/topic.ts'
import { defineTopic } from '../../src/transport/topic.ts'
import type { Job } from './killed-process.ts'
import type { TransportPlace } from './transport-places.ts'
import { openTransport } from './transport-places.ts'

const job = jsonSchema<Job>({ type: 'object', required: ['key', 'n'], properties: { key: { type: 'string' }, n: { type: 'number' } } })
export const Asked = defineEvent('Asked', job)
export const Done = defineEvent('Done', job)
const Unasked = defineEvent('Unasked', job)

let names = 0
/** Of three partitions, for `Asked` and for an event that nobody handles. */
export const freshTopic = (): Topic =>
  defineTopic(`faults-${process.pid}-${Date.now().toString(36)}-${++names}`, {
    events: [Asked, Unasked],
    partitions: 3,
    key: ({ data }) => (data as Job).key,
  })

export function eventOf(data: Job): RecordedEvent {
  const id = `m${data.n}`
  const place = { stream: `asked:${data.key}`, version: 1, position: data.n + 1, type: 'Asked', schemaVersion: 1, source: 'elsewhere' }
  return { ...place, id, time: new Date(0), data, correlationId: id, causationId: id, metadata: {}, tags: [] }
}

export async function publishAll(connection: TransportConnection, topic: string, messages: readonly OutgoingMessage[]): Promise<void> {
  for (let next = 0; next < messages.length; next += 500)
    for (const outcome of await connection.publish(topic, messages.slice(next, next + 500))) if (!outcome.ok) throw outcome.error
}

export async function connectTo(place: TransportPlace): Promise<TransportConnection> {
  const connection = await openTransport(place).connect({ environment: environment({ log: silentLog }), clientName: 'faults' })
  onTestFinished(() => connection.close())
  return connection
}

/** The topic, and what a group needs that is to miss nothing. */
export async function prepareTopic(connection: TransportConnection, group: string): Promise<Topic> {
  const topic = freshTopic()
  const { startAt } = connection.capabilities
  await connection.ensureTopic(topic.spec)
  await connection.ensureGroup(topic.name, group, { at: startAt.includes('beginning') ? 'beginning' : 'end' })
  return topic
}
