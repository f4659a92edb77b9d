import type { EventStore } from '../storage/event-store.ts'

/**
 * Where a processor begins that is new: with the first event of the log, with what comes after its first start, after a position, or with the
 * first event that is not older than a time. Times are taken to ascend with positions, as they do unless history was imported.
 */
export type StartPosition = 'beginning' | 'now' | { readonly after: number } | { readonly time: Date }

/** The position after which to begin. */
export async function resolveStartPosition(store: EventStore, start: StartPosition): Promise<number> {
  if (start === 'beginning') return 0
  const { head, firstPosition } = await store.log()
  if (start === 'now') return head
  if ('after' in start) return start.after
  let from = firstPosition
  let to = head + 1
  while (from < to) {
    const middle = Math.floor((from + to) / 2)
    const [event] = await store.driver.readLog({ after: middle - 1, limit: 1 })
    if (event && event.time < start.time) from = middle + 1
    else to = middle
  }
  return from - 1
}
