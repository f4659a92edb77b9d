import type { RecordedEvent } from '../message/event.ts'
import { decodeEvent } from '../schema/upcast.ts'
import type { EventStore } from '../storage/event-store.ts'
import type { EventQuery } from '../storage/write-set.ts'
import type { AnyAggregate, StateOf } from './aggregate.ts'

/** An aggregate as it was when it was read, and what must still be true when something is appended. */
export interface Loaded<State> {
  readonly state: State
  /** The stream's version; with a boundary, the number of events that the state is made of. */
  readonly version: number
  /** The version of the snapshot that was used; 0 without one. */
  readonly snapshotVersion: number
  /** With a boundary: what the state is made of, and the log's end when it was read. */
  readonly boundary: { readonly query: EventQuery; readonly after: number } | undefined
}

const pageSize = 1_000

/** The current state of the aggregate of this stream, from its latest usable snapshot and the events since. */
export async function loadAggregate<A extends AnyAggregate>(store: EventStore, aggregate: A, stream: string): Promise<Loaded<StateOf<A>>> {
  const { snapshot } = aggregate
  const first = await store.driver.loadStream({
    stream,
    limit: pageSize,
    ...(snapshot && { snapshot: { aggregate: aggregate.name, schemaVersion: snapshot.version } }),
  })
  const snapshotVersion = first.snapshot?.version ?? 0
  let state: unknown = first.snapshot ? first.snapshot.state : aggregate.initialState()
  let version = snapshotVersion
  let events = first.events
  for (;;) {
    for (const event of events) state = evolve(aggregate, state, event)
    version += events.length
    if (events.length < pageSize) break
    events = await store.driver.readStream({ stream, fromVersion: version + 1, direction: 'forwards', limit: pageSize })
  }
  return { state: state as StateOf<A>, version, snapshotVersion, boundary: undefined }
}

/** The state made of all events within the aggregate's boundary, in whichever streams they are. */
export async function loadBoundary<A extends AnyAggregate>(store: EventStore, aggregate: A, ids: object): Promise<Loaded<StateOf<A>>> {
  const types = Object.keys(aggregate.events)
  const query = { items: (aggregate.boundary?.(ids as never) ?? []).map((item) => ({ ...item, types: item.types ?? types })) }
  const { head } = await store.log()
  let state = aggregate.initialState()
  let version = 0
  for await (const event of store.readLog({ query, upTo: head })) {
    state = evolve(aggregate, state, event)
    version++
  }
  return { state: state as StateOf<A>, version, snapshotVersion: 0, boundary: { query, after: head } }
}

/** The state as it was at a version of the stream, or at a time: what was known then, from its events up to there. */
export async function stateAt<A extends AnyAggregate>(
  store: EventStore,
  aggregate: A,
  stream: string,
  at: { readonly version: number } | { readonly time: Date },
): Promise<StateOf<A>> {
  let state = aggregate.initialState()
  const until = 'version' in at ? { toVersion: at.version } : { until: at.time }
  for await (const event of store.readStream(stream, until)) state = evolve(aggregate, state, event)
  return state as StateOf<A>
}

export function evolve(aggregate: AnyAggregate, state: unknown, stored: RecordedEvent): unknown {
  const event = decodeEvent(aggregate.events, stored, `the aggregate ${aggregate.name}`)
  return aggregate.evolve[event.type]!(state as never, event as never)
}
