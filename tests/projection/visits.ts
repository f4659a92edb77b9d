import { z } from 'zod'
import { defineEvent } from '../../src/message/event.ts'
import type { NewEvent } from '../../src/message/event.ts'
import type { AnyProjection } from '../../src/projection/projection.ts'
import { defineProjection } from '../../src/projection/projection.ts'

const visit = z.object({ number: z.number(), visitor: z.string(), room: z.string() })
export const Visited = defineEvent('Visited', visit)
export const Forgotten = defineEvent('Forgotten', visit)

export interface Visits {
  readonly key: string
  readonly count: number
  readonly last: number
}

/**
 * Documents by visitor, of whom few come soon again, or by room. A document that is forgotten is removed, and begins anew if it is visited again. `burnMs` is how
 * long each event takes at least, when it is read and when it is folded, which may be much later.
 */
export function visits(by: string, burnMs = 0): AnyProjection {
  const burn = (): void => {
    for (const endMs = performance.now() + burnMs; performance.now() < endMs;);
  }
  const keysOf = ({ number, visitor, room }: z.infer<typeof visit>): string | string[] => {
    burn()
    return by === 'visitor' ? [visitor, `hall-${number % 3}`] : room
  }
  return defineProjection(`visits-by-${by}`, (key): Visits => ({ key, count: 0, last: -1 }))
    .index('count')
    .fold({ Visited, Forgotten }, ({ data }) => keysOf(data), {
      Visited(document, { data }) {
        burn()
        return { ...document, count: document.count + 1, last: data.number }
      },
      Forgotten: () => null,
    })
}

/** A log that is long enough to be worth files: 80,000 visits of 30,011 visitors in 40 rooms, in no order. */
export const visitCount = 80_000
export function visitAt(number: number): NewEvent {
  const data = { number, visitor: `visitor-${(number * 7_919) % 30_011}`, room: `room-${number % 40}` }
  return number % 11 === 0 ? Forgotten(data) : Visited(data)
}

/** What the documents by visitor or room must be. */
export function expectedVisits(by: string): ReadonlyMap<string, Visits> {
  const documents = new Map<string, Visits>()
  for (let number = 0; number < visitCount; number++) {
    const visitor = `visitor-${(number * 7_919) % 30_011}`
    for (const key of by === 'visitor' ? [visitor, `hall-${number % 3}`] : [`room-${number % 40}`])
      if (number % 11 === 0) documents.delete(key)
      else documents.set(key, { key, count: (documents.get(key)?.count ?? 0) + 1, last: number })
  }
  return documents
}
