import { TransportUnavailableError, UnknownTopicError, UnsupportedByTransportError } from '../errors.ts'
import type { Settings } from './options.ts'
import { queueOf, type Topology } from './topology.ts'

const timeoutMs = 10_000

/**
 * What a group has not acknowledged. AMQP tells how many messages are ready to be delivered, and nothing of those that were delivered and are not
 * acknowledged yet: what this process holds is added, what others hold is known to the management plugin only (as of some seconds ago).
 * @throws UnknownTopicError, TransportUnavailableError
 */
export async function countLag(topology: Topology, settings: Settings, topic: string, group: string, held: number): Promise<number> {
  const queue = queueOf(topic, group)
  if (settings.managementUrl !== undefined) return countByManagement(settings.managementUrl, settings.url, queue, topic)
  const ready = await topology.readyIn(queue)
  if (ready !== undefined) return ready + held
  if (await topology.hasTopic(topic)) throw noSuchGroup(queue)
  throw new UnknownTopicError('RabbitMQ', topic)
}

async function countByManagement(managementUrl: string, url: string, queue: string, topic: string): Promise<number> {
  const { username, password, origin } = new URL(managementUrl)
  const virtualHost = new URL(url).pathname.split('/')[1] || '%2F'
  const authorization = `Basic ${Buffer.from(`${decodeURIComponent(username)}:${decodeURIComponent(password)}`).toString('base64')}`
  const path = `/api/queues/${virtualHost}/${encodeURIComponent(queue)}`
  let response: Response
  try {
    response = await fetch(origin + path, { headers: { authorization }, signal: AbortSignal.timeout(timeoutMs) })
  } catch (error) {
    throw new TransportUnavailableError(`the management plugin of RabbitMQ at ${origin} does not answer`, { cause: error })
  }
  if (response.status === 404) throw noSuchGroup(queue)
  if (!response.ok)
    throw new TransportUnavailableError(`the management plugin of RabbitMQ at ${origin} answers ${response.status} to ${path}`)
  const { messages } = (await response.json()) as { readonly messages?: number }
  if (messages === undefined)
    throw new TransportUnavailableError(`the management plugin of RabbitMQ knows nothing of the topic ${topic} yet`)
  return messages
}

function noSuchGroup(queue: string): Error {
  return new UnsupportedByTransportError(`RabbitMQ knows nothing of a group before it was made: there is no queue ${queue}`)
}
