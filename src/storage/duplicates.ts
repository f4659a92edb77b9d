import { isDeepStrictEqual } from 'node:util'
import type { RecordedEvent } from '../message/event.ts'
import { IdReusedError } from './errors.ts'
import type { StorageDriver } from './port.ts'
import type { Committed, EncodedEvent, StreamAppend, WriteSet } from './write-set.ts'

type Stored = ReadonlyMap<string, RecordedEvent>

/** Which of the set's events are in the log already. */
export async function findStored(driver: StorageDriver, set: WriteSet): Promise<Stored> {
  const identities = set.appends.flatMap(({ events }) => events.map(({ source, id }) => ({ source, id })))
  const stored = await driver.findEvents(identities)
  return new Map(stored.map((event) => [identityOf(event), event]))
}

/**
 * The result that the set had when it was committed the first time.
 * @throws IdReusedError when it cannot have been this set: another stream, type or payload, or only some of its events.
 */
export function firstResult(set: WriteSet, stored: Stored): Committed {
  const positions: number[] = []
  const versions = set.appends.map((append) => {
    for (const event of append.events) {
      const first = stored.get(identityOf(event))
      if (!first) throw new IdReusedError(`the event id ${event.id} is new, but others of the same append are in the log already`)
      const difference = differenceOf(append.stream, event, first)
      if (difference)
        throw new IdReusedError(`the event id ${event.id} is in the log at position ${first.position} with another ${difference}`)
      positions.push(first.position)
    }
    return stored.get(identityOf(append.events.at(-1)!))!.version
  })
  return { status: 'committed', firstPosition: Math.min(...positions), position: Math.max(...positions), versions }
}

/** The appends of which no event is stored yet, and where one that is left out differs from what is stored. */
export function withoutStored(
  set: WriteSet,
  stored: Stored,
): { readonly appends: readonly StreamAppend[]; readonly differing: readonly string[] } {
  const differing: string[] = []
  const appends = set.appends.filter(({ stream, events }) => {
    const known = events.filter((event) => stored.has(identityOf(event)))
    for (const event of known) if (differenceOf(stream, event, stored.get(identityOf(event))!)) differing.push(event.id)
    return known.length === 0
  })
  return { appends, differing }
}

function identityOf({ source, id }: { readonly source: string; readonly id: string }): string {
  return `${id}\n${source}`
}

function differenceOf(stream: string, event: EncodedEvent, stored: RecordedEvent): 'stream' | 'type' | 'payload' | undefined {
  if (stored.stream !== stream) return 'stream'
  if (stored.type !== event.type) return 'type'
  return isDeepStrictEqual(JSON.parse(event.data), stored.data) ? undefined : 'payload'
}
