import type { RecordedEvent } from '../../message/event.ts'
import type { LogFilter } from '../../storage/port.ts'
import { categoryOf } from '../../storage/stream-name.ts'
import type { EventQuery } from '../../storage/write-set.ts'

type Matched = Pick<RecordedEvent, 'type' | 'stream' | 'correlationId' | 'tags'>

/** What the filter of a read means: everything that it names must hold. A list of which one must match, when empty, is matched by nothing. */
export function passes(event: Matched, { types, categories, correlationId, query }: LogFilter): boolean {
  if (types && !types.includes(event.type)) return false
  if (categories && !categories.includes(categoryOf(event.stream))) return false
  if (correlationId !== undefined && event.correlationId !== correlationId) return false
  return query === undefined || matches(event, query)
}

/** What a query means: any of its items. An item that names nothing is matched by every event. */
export function matches(event: Pick<Matched, 'type' | 'stream' | 'tags'>, query: EventQuery): boolean {
  return query.items.some(
    ({ types, streams, tags }) =>
      (types?.includes(event.type) ?? true) &&
      (streams?.includes(event.stream) ?? true) &&
      (tags ?? []).every((tag) => event.tags.includes(tag)),
  )
}
