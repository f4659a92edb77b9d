import { InvalidDefinitionError } from '../message/errors.ts'
import type { EventStore } from '../storage/event-store.ts'
import type { StartAt, TransportCapabilities } from '../transport/port.ts'

/**
 * Where a processor begins that is new: with the first event of the log, with what comes after its first start, after a position, or with the
 * first event that is not older than a time. Times are taken to ascend with positions, as they do unless history was imported.
 */
export type StartPosition = 'beginning' | 'now' | { readonly after: number } | { readonly time: Date }

/**
 * Where to begin with a topic; without a wish, as early as its transport can.
 * @throws InvalidDefinitionError for a position, which only the log has
 */
export function topicStartAt(start: StartPosition | undefined, { startAt }: TransportCapabilities, processor: string): StartAt {
  if (start === undefined) return { at: startAt.includes('beginning') ? 'beginning' : 'end' }
  if (start === 'beginning') return { at: 'beginning' }
  if (start === 'now') return { at: 'end' }
  if ('time' in start) return { at: 'time', timeMs: start.time.getTime() }
  throw new InvalidDefinitionError(`${processor}: a topic has no position ${start.after}; begin at 'beginning', 'now' or a time`)
}

/** The position after which to begin. */
export async function resolveStartPosition(store: EventStore, start: StartPosition): Promise<number> {
  if (start === 'beginning') return 0
  const { head, firstPosition } = await store.log()
  if (start === 'now') return head
  if ('after' in start) return start.after
  return positionBefore(store, start.time.getTime(), { from: firstPosition, to: head + 1 })
}

/**
 * Events get their times before they wait for their commit, by the clocks of their processes: times ascend with positions but for about so much. The
 * place is looked for this much earlier, and the event itself from there.
 */
const disorderMs = 60_000

async function positionBefore(store: EventStore, timeMs: number, range: { from: number; to: number }): Promise<number> {
  let { from, to } = range
  while (from < to) {
    const middle = Math.floor((from + to) / 2)
    const [event] = await store.driver.readLog({ after: middle - 1, limit: 1 })
    if (event && event.time.getTime() < timeMs - disorderMs) from = middle + 1
    else to = middle
  }
  for await (const { position, time } of store.readLog({ after: from - 1 })) if (time.getTime() >= timeMs) return position - 1
  return range.to - 1
}
