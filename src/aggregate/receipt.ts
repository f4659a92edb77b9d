import { createHash } from 'node:crypto'
import type { Accepted } from '../message/outcome.ts'
import { CommandIdReusedError } from '../storage/errors.ts'
import type { EventStore } from '../storage/event-store.ts'
import type { StoredReceipt } from '../storage/port.ts'
import type { Receipt } from '../storage/write-set.ts'

/**
 * What the command led to when it was carried out the first time.
 * @throws CommandIdReusedError when that was another target or payload
 */
export async function firstOutcome(store: EventStore, known: StoredReceipt, asked: Omit<Receipt, 'version'>): Promise<Accepted> {
  if (known.target !== asked.target || known.payloadHash !== asked.payloadHash) {
    const difference = known.target === asked.target ? ' with another payload' : ''
    throw new CommandIdReusedError(`the command id ${asked.commandId} was used before, for ${known.target}${difference}`)
  }
  const { position, version, firstPosition, eventCount } = known
  const events = eventCount === 0 ? [] : await store.driver.readLog({ after: firstPosition - 1, upTo: position, limit: eventCount })
  return { ok: true, position, version: events.at(-1)?.version ?? version, events, duplicate: true }
}

/** The same payload has the same hash, in whatever order its fields were given. */
export function hashOf(data: unknown): string {
  return createHash('sha256').update(JSON.stringify(data, sortKeys)).digest('base64url')
}

function sortKeys(_key: string, value: unknown): unknown {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return value
  return Object.fromEntries(Object.entries(value).toSorted(([a], [b]) => (a < b ? -1 : 1)))
}
