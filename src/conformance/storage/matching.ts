import type { RecordedEvent } from '../../message/event.ts'
import { isAskedFor } from '../../storage/event-query.ts'
import type { LogFilter } from '../../storage/port.ts'
import { categoryOf } from '../../storage/stream-name.ts'

type Matched = Pick<RecordedEvent, 'type' | 'stream' | 'correlationId' | 'tags'>

/** What the filter of a read means: everything that it names must hold. A list of which one must match, when empty, is matched by nothing. */
export function passes(event: Matched, { types, categories, correlationId, query }: LogFilter): boolean {
  if (types && !types.includes(event.type)) return false
  if (categories && !categories.includes(categoryOf(event.stream))) return false
  if (correlationId !== undefined && event.correlationId !== correlationId) return false
  return query === undefined || isAskedFor(query, event.stream, event)
}
