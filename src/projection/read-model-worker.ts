import type { RecordedEvent } from '../message/event.ts'
import type { Lease } from '../processing/lease-keeper.ts'
import type { Run, Work, Worker } from '../processing/page-runner.ts'
import type { CollectionSpec } from '../storage/document-port.ts'
import type { EventStore } from '../storage/event-store.ts'
import { BuildWriter } from './build-writer.ts'
import { DocumentFolder } from './document-folder.ts'
import type { AnyProjection } from './projection.ts'
import type { ScatteredBuildParts } from './scattered-build.ts'
import { ScatteredBuild } from './scattered-build.ts'

/** With fewer events to a document than these, when the first documents are due to be written, few are met again while they are in memory. */
const eventsPerDocument = 5
/** Fewer documents tell nothing. */
const leastDocuments = 1_000
/** Files are worth their while when so many times as many events are left as have been read. */
const timesMoreEvents = 2

export interface ReadModelWorkerOptions {
  /**
   * True while nobody reads the collection: documents are then held back over several pages, since each is written once however often it changed
   * meanwhile. What is lost when the process ends is folded again from the last checkpoint.
   */
  readonly isBeingBuilt: () => boolean
  readonly whenCaughtUp: (position: number) => Promise<void>
}

/** A build from the beginning of the log, until it is decided how to go on. */
interface Beginning {
  readonly parts: ScatteredBuildParts
  readonly head: number
  events: number
}

/**
 * Fills the collection of a read model. A build from the beginning of the log looks, when the first documents are due to be written, whether documents are
 * met again soon, and goes on as a `ScatteredBuild` if they are not. Else documents are written beside the folding. Once it is complete, each page is
 * folded and committed as it comes.
 */
export class ReadModelWorker implements Worker {
  readonly types: readonly string[]
  readonly #projection: AnyProjection
  readonly #collection: CollectionSpec
  readonly #store: EventStore
  readonly #options: ReadModelWorkerOptions
  readonly #folder: DocumentFolder
  #writer: BuildWriter | undefined
  #beginning: Beginning | undefined
  #scattered: ScatteredBuild | undefined
  /** Up to here events are in the folder's documents. */
  #position = 0
  #signal: AbortSignal | undefined

  constructor(projection: AnyProjection, collection: CollectionSpec, store: EventStore, options: ReadModelWorkerOptions) {
    this.#projection = projection
    this.#collection = collection
    this.#store = store
    this.#options = options
    this.#folder = new DocumentFolder(projection, collection, store.driver.documents)
    this.types = Object.keys(projection.events)
  }

  async begin(lease: Lease): Promise<number> {
    const writer = new BuildWriter(this.#store.driver.documents, this.#collection.id, lease)
    this.#writer = writer
    this.#beginning = undefined
    this.#position = lease.position
    this.#scattered?.close()
    this.#scattered = undefined
    const isBeginning = lease.position === 0 && this.#options.isBeingBuilt()
    this.#folder.begin({ isEmpty: isBeginning })
    if (!isBeginning) return lease.position
    const { id: logId, head } = await this.#store.log()
    const parts = { projection: this.#projection, collection: this.#collection, clock: this.#store.environment.clock, writer, lease, logId }
    this.#scattered = ScatteredBuild.resume(parts)
    if (this.#scattered) return this.#scattered.position
    // An earlier attempt may have written documents without coming to its end; with the checkpoint at 0 they count for nothing.
    await writer.clear()
    this.#beginning = { parts, head, events: 0 }
    return 0
  }

  async process(events: readonly RecordedEvent[], { signal }: Run): Promise<Work> {
    this.#signal = signal
    if (this.#scattered) return this.#scattered.putAside(events)
    const writer = this.#writer!
    writer.throwIfFailed()
    const { through, failure } = await this.#folder.fold(events, () => writer.finish())
    if (failure) this.#beginning = undefined
    // What earlier pages have left waits on when the first event of this one fails.
    if (through === undefined) return { through, ...(failure && { failure }) }
    this.#position = through
    if (failure || !this.#options.isBeingBuilt()) {
      await writer.finish()
      return { through, effects: this.#folder.effects(), ...(failure && { failure }) }
    }
    if (this.#beginning) this.#beginning.events += events.length
    if (this.#folder.isFull && !this.#turnsScattered()) {
      await writer.finish()
      this.#beginWriting()
    }
    return { through, isHeldBack: true }
  }

  /** While documents are written beside, the checkpoint moves with them, and there is nothing to add until the end. */
  heldBack(): Work['effects'] {
    this.#writer!.throwIfFailed()
    if (this.#scattered || this.#writer!.isBusy) return undefined
    if (this.#folder.held > 0) {
      if (this.#isTooEarly || this.#turnsScattered()) return undefined
      if (!this.#signal?.aborted) {
        this.#beginWriting()
        return undefined
      }
    }
    return this.#folder.effects()
  }

  async complete(signal: AbortSignal): Promise<void> {
    this.#beginning = undefined
    if (this.#scattered) {
      if (await this.#scattered.complete(signal)) this.#scattered = undefined
      return
    }
    await this.#writer!.finish()
    if (this.#folder.held > 0) this.#beginWriting()
    await this.#writer!.finish()
  }

  async caughtUp(position: number): Promise<void> {
    await this.#options.whenCaughtUp(position)
  }

  #beginWriting(): void {
    this.#writer!.begin({ ...this.#folder.take(), position: this.#position })
  }

  /** A moment later more can be said, and little is lost meanwhile. */
  get #isTooEarly(): boolean {
    const { held } = this.#folder
    return this.#beginning !== undefined && held < leastDocuments && this.#beginning.events < held * eventsPerDocument
  }

  /** Asked when the first documents are due to be written, and decided then once and for all. */
  #turnsScattered(): boolean {
    const beginning = this.#beginning
    const { held } = this.#folder
    this.#beginning = undefined
    if (!beginning || held < leastDocuments || beginning.events >= held * eventsPerDocument) return false
    if (beginning.head - this.#position < this.#position * timesMoreEvents) return false
    this.#scattered = ScatteredBuild.begin(beginning.parts, this.#folder.surrender(), this.#position)
    this.#folder.begin({ isEmpty: false })
    return true
  }
}
