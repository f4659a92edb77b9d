import type { DeadLetterState } from '../../processing/dead-letter.ts'
import { deadLetterCollection } from '../../processing/dead-letter.ts'
import { DeadLetters } from '../../processing/dead-letters.ts'
import type { EventStore } from '../../storage/event-store.ts'
import { countOf, formatAge } from '../output.ts'
import type { Finding } from './finding.ts'
import { ok, warning } from './finding.ts'

/** Whoever runs the handler looks twice a second what is asked for. */
const notDoneForMs = 60_000
const pageSize = 10_000

/** Messages that wait for an operator, and what operators have asked for in vain. */
export async function checkDeadLetters(store: EventStore): Promise<readonly Finding[]> {
  const collections = await store.driver.documents.list(deadLetterCollection.projection)
  // A check changes nothing: where no handler has run, there is no place for them, and none is made.
  if (collections.length === 0) return [ok('dead letters', 'there are none')]
  const letters = new DeadLetters(store)
  const nowMs = store.environment.clock.now()
  const [parked, waiting, dead] = [await countIn(letters, 'parked'), await countIn(letters, 'waiting'), await countIn(letters, 'dead')]
  const requested = (await letters.requested()).filter(({ requestedAt }) => nowMs - Date.parse(requestedAt) > notDoneForMs)
  const oldest = formatAge(nowMs - Math.min(parked.oldestMs, dead.oldestMs))
  return [
    parked.count + dead.count === 0
      ? ok('dead letters', 'no message waits for an operator')
      : warning(
          'dead letters',
          `${countOf(parked.count, 'parked message')} with ${waiting.count} behind, ${countOf(dead.count, 'dead one')}; the oldest failed ${oldest} ago`,
          'see what they failed for: headwater dead-letters groups',
        ),
    ...(requested.length === 0
      ? []
      : [
          warning(
            'operators',
            `${countOf(requested.length, 'action')} asked for more than a minute ago and not done, such as ${requested[0]!.kind} ${requested[0]!.letter}`,
            'start the service that runs the handler; see: headwater dead-letters actions',
          ),
        ]),
  ]
}

/** `oldestMs`: when the first of them failed. */
async function countIn(letters: DeadLetters, state: DeadLetterState): Promise<{ readonly count: number; readonly oldestMs: number }> {
  let count = 0
  let oldestMs = Infinity
  let after: string | undefined
  do {
    const page = await letters.list({ state }, { limit: pageSize, ...(after !== undefined && { after }) })
    count += page.documents.length
    for (const { failedAt } of page.documents) if (failedAt !== null) oldestMs = Math.min(oldestMs, Date.parse(failedAt))
    after = page.next
  } while (after !== undefined)
  return { count, oldestMs }
}
