import type { ReadModelWrites } from '../aggregate/handle-command.ts'
import type { RecordedEvent } from '../message/event.ts'
import type { Lease } from '../processing/lease-keeper.ts'
import type { Run, Work, Worker } from '../processing/page-runner.ts'
import { decodeEvent } from '../schema/upcast.ts'
import type { CollectionSpec } from '../storage/document-port.ts'
import { VersionConflictError } from '../storage/errors.ts'
import type { EventStore } from '../storage/event-store.ts'
import { idOf } from '../storage/stream-name.ts'
import type { DocumentWrite } from '../storage/write-set.ts'
import { encodeDocument } from './encode-document.ts'
import type { AnyProjection } from './projection.ts'
import { foldOne } from './projection.ts'
import { ReadModelWorker } from './read-model-worker.ts'
import type { Versioned } from './versioned.ts'

/** One inline projection as it is read now. */
export interface InlineTarget {
  readonly projection: AnyProjection
  /** Undefined until the read model is complete. */
  readonly collection: CollectionSpec | undefined
}

/** What commands write besides their events: the documents of the inline projections. */
export function inlineWrites(store: EventStore, targets: () => readonly InlineTarget[]): ReadModelWrites {
  return async (stream, version, events) => {
    const writes: DocumentWrite[] = []
    for (const { projection, collection } of targets()) {
      if (!collection || !events.some(({ type }) => Object.hasOwn(projection.events, type))) continue
      const write = await foldStream(store, projection, collection, stream, version, events)
      if (write) writes.push(write)
    }
    return writes
  }
}

/** The document of a stream at `version` and then `events`, or undefined when they change nothing. */
async function foldStream(
  store: EventStore,
  projection: AnyProjection,
  collection: CollectionSpec,
  stream: string,
  version: number,
  events: readonly RecordedEvent[],
): Promise<DocumentWrite | undefined> {
  const key = idOf(stream)
  const text = (await store.driver.documents.get(collection.id, [key])).get(key)
  const stored = text === undefined ? undefined : (JSON.parse(text) as Versioned)
  const missed: RecordedEvent[] = []
  const known = stored?.version ?? 0
  if (known < version)
    for await (const event of store.readStream(stream, { fromVersion: known + 1, toVersion: version })) missed.push(event)
  let document: unknown = stored ?? null
  for (const event of [...missed, ...events])
    if (Object.hasOwn(projection.events, event.type))
      document = foldOne(projection, key, document, decodeEvent(projection.events, event, `the projection ${projection.name}`))
  if (document === (stored ?? null)) return undefined
  return { collection: collection.id, ...encodeDocument(projection, collection, key, document) }
}

/**
 * While the read model is being built, folds as any other; then looks after streams whose documents are behind. Such a document is written only if the
 * stream is still at the version to which it was folded.
 */
export class InlineWorker implements Worker {
  readonly types: readonly string[]
  readonly #projection: AnyProjection
  readonly #collection: CollectionSpec
  readonly #store: EventStore
  readonly #isLive: () => boolean
  readonly #building: ReadModelWorker

  constructor(
    projection: AnyProjection,
    collection: CollectionSpec,
    store: EventStore,
    isLive: () => boolean,
    whenCaughtUp: (position: number) => Promise<void>,
  ) {
    this.#projection = projection
    this.#collection = collection
    this.#store = store
    this.#isLive = isLive
    this.#building = new ReadModelWorker(projection, collection, store, { isBeingBuilt: () => !isLive(), whenCaughtUp })
    this.types = this.#building.types
  }

  begin(lease: Lease): Promise<number> {
    return this.#building.begin(lease)
  }

  heldBack(): Work['effects'] {
    return this.#building.heldBack()
  }

  complete(signal: AbortSignal): Promise<void> {
    return this.#building.complete(signal)
  }

  async caughtUp(position: number): Promise<void> {
    await this.#building.caughtUp(position)
  }

  async process(events: readonly RecordedEvent[], run: Run): Promise<Work> {
    if (!this.#isLive()) return this.#building.process(events, run)
    const latest = new Map(events.map((event) => [event.stream, event]))
    const keys = [...latest.keys()].map(idOf)
    const documents = await this.#store.driver.documents.get(this.#collection.id, keys)
    for (const [stream, event] of latest) {
      const text = documents.get(idOf(stream))
      const version = text === undefined ? 0 : (JSON.parse(text) as Versioned).version
      if (version >= event.version) continue
      try {
        await this.#repair(stream)
      } catch (error) {
        // Work is done in order; what comes before the first event of this stream has its effects.
        const first = events.find((candidate) => candidate.stream === stream)!
        const before = events.filter(({ position }) => position < first.position).at(-1)
        return { through: before?.position, failure: { event, error } }
      }
    }
    return { through: events.at(-1)!.position }
  }

  async #repair(stream: string): Promise<void> {
    for (;;) {
      const [last] = await this.#store.driver.readStream({ stream, direction: 'backwards', limit: 1 })
      if (!last) return
      const write = await foldStream(this.#store, this.#projection, this.#collection, stream, last.version, [])
      if (!write) return
      try {
        await this.#store.commit({ appends: [{ stream, expectedVersion: last.version, events: [] }], documents: [write] })
        return
      } catch (error) {
        if (!(error instanceof VersionConflictError)) throw error
      }
    }
  }
}
