import type { ConsumedTopic } from '../service/messaging.ts'
import { consumedTopics } from '../service/messaging.ts'
import type { Service } from '../service/service.ts'
import { NotFoundError } from './exit-codes.ts'

/** What the service's handlers get from topics, or one of them. @throws NotFoundError */
export function topicsOf(
  service: Service<string, string, string>,
  { handler, topic }: { handler?: string; topic?: string },
): readonly ConsumedTopic[] {
  const all = consumedTopics(service)
  const found = all.filter((one) => (handler === undefined || one.handler === handler) && (topic === undefined || one.topic === topic))
  if (found.length > 0) return found
  if (all.length === 0)
    throw new NotFoundError(`the service ${service.name} gets nothing from topics: its handlers follow the log, see headwater projections`)
  const wanted = [...(handler === undefined ? [] : [`handler ${handler}`]), ...(topic === undefined ? [] : [`topic ${topic}`])].join(
    ' on the ',
  )
  throw new NotFoundError(
    `the service ${service.name} has no ${wanted}; it has: ${all.map((one) => `${one.handler} on ${one.topic}`).join(', ')}`,
  )
}
