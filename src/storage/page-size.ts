import type { RecordedEvent } from '../message/event.ts'

/** Of a page by which nobody knows yet how large the events are. */
export const firstPageEvents = 50
/** Pages grow by and by: the next events may be larger than those before. */
const maxGrowth = 4

/** As many events as make about so many bytes, judged by three of these; undefined when there are none. */
export function eventsWithin(bytes: number, events: readonly RecordedEvent[]): number | undefined {
  const samples = [events[0], events[events.length >> 1], events.at(-1)].filter((event) => event !== undefined)
  if (samples.length === 0) return undefined
  const largest = Math.max(...samples.map(({ data }) => JSON.stringify(data).length + 400))
  return Math.floor(bytes / largest)
}

/** How many events to read next, so that a page has about `bytes`, and large payloads do not fill the memory. */
export function nextPageEvents(
  page: readonly RecordedEvent[],
  { limit, bytes, maxEvents }: { readonly limit: number; readonly bytes: number; readonly maxEvents: number },
): number {
  const fitting = eventsWithin(bytes, page)
  return fitting === undefined ? limit : Math.max(10, Math.min(maxEvents, limit * maxGrowth, fitting))
}
