import type { EventStore } from '../../storage/event-store.ts'
import type { StartAt } from '../port.ts'

const pageSize = 2_000

/**
 * A message is given its time before it waits for its commit, by a clock of its own process: times ascend with positions but for about so much. A
 * place in the log is looked for this much earlier, and the message itself from there.
 */
const disorderMs = 60_000

/** The position behind which a group begins. */
export async function positionOf(store: EventStore, topic: string, startAt: StartAt): Promise<number> {
  const { head, firstPosition } = await store.log()
  if (startAt.at === 'beginning') return firstPosition - 1
  if (startAt.at === 'end') return head
  for (let after = await roughly(store, startAt.timeMs - disorderMs); after < head;) {
    const page = await store.driver.readLog({ after, upTo: head, limit: pageSize, categories: [topic] })
    const first = page.find(({ time }) => time.getTime() >= startAt.timeMs)
    if (first) return first.position - 1
    if (page.length < pageSize) break
    after = page.at(-1)!.position
  }
  return head
}

/** A position near which the time was, by halving. */
async function roughly(store: EventStore, timeMs: number): Promise<number> {
  const { head, firstPosition } = await store.log()
  let from = firstPosition
  let to = head + 1
  while (from < to) {
    const middle = Math.floor((from + to) / 2)
    const [event] = await store.driver.readLog({ after: middle - 1, limit: 1 })
    if (event && event.time.getTime() < timeMs) from = middle + 1
    else to = middle
  }
  return from - 1
}

/** Beyond so many messages the rest of the log is taken to be the topic's: counting exactly would read all of it. */
const countedMessages = 100_000

/** How many messages of the topic stand behind a position. */
export async function countAfter(store: EventStore, topic: string, position: number): Promise<number> {
  const { head } = await store.log()
  let count = 0
  for (let after = position; after < head;) {
    if (count >= countedMessages) return count + head - after
    const page = await store.driver.readLog({ after, upTo: head, limit: pageSize, categories: [topic] })
    count += page.length
    if (page.length < pageSize) break
    after = page.at(-1)!.position
  }
  return count
}
