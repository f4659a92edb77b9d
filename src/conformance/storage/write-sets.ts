import assert from 'node:assert/strict'
import { uuidv7 } from '../../message/id.ts'
import type { StorageDriver } from '../../storage/port.ts'
import type { Committed, DocumentWrite, EncodedEvent, ExpectedVersion, StreamAppend, Verdict, WriteSet } from '../../storage/write-set.ts'

/** An event that is fit to be stored, with an id of its own. */
export function event(given: Partial<EncodedEvent> = {}): EncodedEvent {
  const id = given.id ?? uuidv7()
  return {
    id,
    source: 'conformance',
    type: 'Happened',
    schemaVersion: 1,
    timeMs: 1_700_000_000_000,
    correlationId: id,
    causationId: id,
    data: '{"n":1}',
    metadata: null,
    tags: [],
    ...given,
  }
}

export function events(count: number, given: Partial<EncodedEvent> = {}): readonly EncodedEvent[] {
  return Array.from({ length: count }, () => event(given))
}

/** One event unless others are given. */
export function append(stream: string, expectedVersion: ExpectedVersion = 'any', given: readonly EncodedEvent[] = [event()]): StreamAppend {
  return { stream, expectedVersion, events: given }
}

/** A write set that appends to one stream: one event unless others are given. */
export function appending(stream: string, expectedVersion: ExpectedVersion = 'any', given?: readonly EncodedEvent[]): WriteSet {
  return { appends: [append(stream, expectedVersion, given)] }
}

export function writing(...documents: readonly DocumentWrite[]): WriteSet {
  return { appends: [], documents }
}

/** The verdict on a set that is committed in a call of its own. */
export async function commit(driver: StorageDriver, set: WriteSet): Promise<Verdict> {
  const verdicts = await driver.commit([set])
  assert.equal(verdicts.length, 1, 'one verdict for one set')
  return verdicts[0]!
}

/** The verdict on a set that shares its call with others, which must be committed whatever becomes of it. */
export async function commitInCompany(driver: StorageDriver, set: WriteSet): Promise<Verdict> {
  const neighbours = Array.from({ length: 4 }, () => appending(`neighbour:${uuidv7()}`, 'no-stream', events(2, { type: 'NeighbourMoved' })))
  const [first, second, verdict, ...others] = await driver.commit([neighbours[0]!, neighbours[1]!, set, neighbours[2]!, neighbours[3]!])
  for (const neighbour of [first, second, ...others]) assert.equal(neighbour?.status, 'committed', 'a neighbour is judged by itself')
  return verdict!
}

/** A driver may treat a set that comes alone in another way than many; what it promises is the same. */
export const companies: readonly { readonly how: string; readonly judge: typeof commit }[] = [
  { how: 'alone', judge: commit },
  { how: 'among others', judge: commitInCompany },
]

export async function mustCommit(driver: StorageDriver, set: WriteSet): Promise<Committed> {
  return committed(await commit(driver, set))
}

export function committed(verdict: Verdict | undefined): Committed {
  assert.ok(verdict, 'there is a verdict')
  assert.equal(verdict.status, 'committed', `committed, not ${JSON.stringify(verdict)}`)
  return verdict
}
