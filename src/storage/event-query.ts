import type { EncodedEvent, EventQuery } from './write-set.ts'

/** Whether an event of this stream is among those that the query asks for. */
export function isAskedFor({ items }: EventQuery, stream: string, { type, tags }: Pick<EncodedEvent, 'type' | 'tags'>): boolean {
  return items.some(
    (item) =>
      (item.types?.includes(type) ?? true) &&
      (item.streams?.includes(stream) ?? true) &&
      (item.tags?.every((tag) => tags.includes(tag)) ?? true),
  )
}
