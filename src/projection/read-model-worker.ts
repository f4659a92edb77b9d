import type { RecordedEvent } from '../message/event.ts'
import type { Lease } from '../processing/lease-keeper.ts'
import type { Work, Worker } from '../processing/processor.ts'
import type { CollectionSpec } from '../storage/document-port.ts'
import type { EventStore } from '../storage/event-store.ts'
import type { DocumentWrite } from '../storage/write-set.ts'
import type { FoldOptions } from './fold-worker.ts'
import { FoldWorker } from './fold-worker.ts'
import type { AnyProjection } from './projection.ts'
import type { ScatteredBuildParts } from './scattered-build.ts'
import { ScatteredBuild } from './scattered-build.ts'

/** With fewer events to a document than these, when the first documents are due to be written, few are met again while they are in memory. */
const eventsPerDocument = 5
/** Fewer documents tell nothing. */
const leastDocuments = 1_000
/** Files are worth their while when so many times as many events are left as have been read. */
const timesMoreEvents = 2
const documentsPerRemoval = 5_000

/** A build from the beginning of the log, until it is decided how to go on. */
interface Beginning {
  readonly parts: ScatteredBuildParts
  readonly head: number
  events: number
  through: number
}

/**
 * Fills the collection of a read model. A build from the beginning of the log looks, when the first documents are due to be written, whether documents are
 * met again soon, and goes on as a `ScatteredBuild` if they are not. Once it is complete, each page is folded as it comes.
 */
export class ReadModelWorker implements Worker {
  readonly types: readonly string[]
  readonly #projection: AnyProjection
  readonly #collection: CollectionSpec
  readonly #store: EventStore
  readonly #options: FoldOptions
  readonly #fold: FoldWorker
  #beginning: Beginning | undefined
  #scattered: ScatteredBuild | undefined

  constructor(projection: AnyProjection, collection: CollectionSpec, store: EventStore, options: FoldOptions) {
    this.#projection = projection
    this.#collection = collection
    this.#store = store
    this.#options = options
    this.#fold = new FoldWorker(projection, collection, store.driver.documents, options)
    this.types = this.#fold.types
  }

  async begin(lease: Lease): Promise<number> {
    this.#beginning = undefined
    this.#scattered?.close()
    this.#scattered = undefined
    this.#fold.begin(lease)
    if (lease.position > 0 || !this.#options.isBeingBuilt?.()) return lease.position
    const { id: logId, head } = await this.#store.log()
    const parts = { projection: this.#projection, collection: this.#collection, store: this.#store, lease, logId }
    this.#scattered = ScatteredBuild.resume(parts)
    if (this.#scattered) return this.#scattered.position
    await this.#removeLeftovers(lease)
    this.#beginning = { parts, head, events: 0, through: 0 }
    return 0
  }

  async process(events: readonly RecordedEvent[]): Promise<Work> {
    if (this.#scattered) return this.#scattered.putAside(events)
    const work = await this.#fold.process(events)
    const { through, effects, failure } = work
    if (failure || through === undefined) this.#beginning = undefined
    if (this.#beginning && through !== undefined) {
      this.#beginning.events += events.length
      this.#beginning.through = through
    }
    return effects && this.#turnsScattered(effects.documents) ? { through, isHeldBack: true } : work
  }

  heldBack(): Work['effects'] {
    if (this.#scattered || this.#isTooEarly) return undefined
    const effects = this.#fold.heldBack()
    return this.#turnsScattered(effects.documents) ? undefined : effects
  }

  async complete(signal: AbortSignal): Promise<void> {
    this.#beginning = undefined
    if (await this.#scattered?.complete(signal)) this.#scattered = undefined
  }

  async caughtUp(position: number): Promise<void> {
    await this.#fold.caughtUp(position)
  }

  /** A moment later more can be said, and little is lost meanwhile. */
  get #isTooEarly(): boolean {
    const { held } = this.#fold
    return this.#beginning !== undefined && held < leastDocuments && this.#beginning.events < held * eventsPerDocument
  }

  /** Asked for the first documents that are due to be written, and decided then once and for all. */
  #turnsScattered(documents: readonly DocumentWrite[] = []): boolean {
    const beginning = this.#beginning
    this.#beginning = undefined
    if (!beginning || documents.length < leastDocuments || beginning.events >= documents.length * eventsPerDocument) return false
    if (beginning.head - beginning.through < beginning.through * timesMoreEvents) return false
    this.#scattered = ScatteredBuild.begin(beginning.parts, documents, beginning.through)
    this.#fold.begin()
    return true
  }

  /** An earlier attempt may have written documents without coming to its end; with the checkpoint at 0 they count for nothing. */
  async #removeLeftovers({ processor, epoch }: Lease): Promise<void> {
    const fields = this.#collection.indexed.map(() => '')
    for (;;) {
      const found = await this.#store.driver.documents.find(this.#collection.id, { where: [], sort: [], limit: documentsPerRemoval })
      if (found.length === 0) return
      const documents = found.map(({ key }) => ({ collection: this.#collection.id, key, document: null, fields, words: null }))
      await this.#store.commit({ appends: [], documents, checkpoint: { processor, epoch, position: 0 } })
    }
  }
}
