import type { Lease } from '../processing/lease-keeper.ts'
import type { DocumentLoad, DocumentStore } from '../storage/document-port.ts'
import { FencedError } from '../storage/errors.ts'

/** What is written at once, and the position up to which the collection is complete with it. */
export type BuildLoad = Pick<DocumentLoad, 'documents' | 'replaced'> & { readonly position: number }

/**
 * Writes the documents of a read model that is being built beside the work that makes the next ones, one load at a time. Each load moves the checkpoint
 * in its own transaction, so that what is in the collection and how far the log has been folded into it never differ.
 */
export class BuildWriter {
  readonly #documents: DocumentStore
  readonly #collection: string
  readonly #lease: Lease
  #running: Promise<void> | undefined
  #failure: { readonly error: unknown } | undefined

  constructor(documents: DocumentStore, collection: string, lease: Lease) {
    this.#documents = documents
    this.#collection = collection
    this.#lease = lease
  }

  get isBusy(): boolean {
    return this.#running !== undefined
  }

  /** Removes what an attempt that did not come to its end has written. @throws FencedError */
  async clear(): Promise<void> {
    await this.finish()
    const leftovers = await this.#documents.find(this.#collection, { where: [], sort: [], limit: 1 })
    if (leftovers.length === 0) return
    this.#mustOwn(await this.#documents.clear(this.#collection, this.#checkpointAt(this.#lease.position)))
  }

  /** Begins a load, when the one before has ended. */
  begin(load: BuildLoad): void {
    if (this.#failure) return
    this.#running = this.#load(load)
      .catch((error: unknown) => void (this.#failure = { error }))
      .finally(() => (this.#running = undefined))
  }

  /** @throws FencedError, and whatever the store failed with; nothing is written after that */
  throwIfFailed(): void {
    if (this.#failure) throw this.#failure.error
  }

  /** Resolves when nothing is being written. @throws as `throwIfFailed` */
  async finish(): Promise<void> {
    await this.#running
    this.throwIfFailed()
  }

  async #load({ documents, replaced, position }: BuildLoad): Promise<void> {
    const checkpoint = this.#checkpointAt(position)
    this.#mustOwn(await this.#documents.load({ collection: this.#collection, documents, replaced, checkpoint }))
  }

  #checkpointAt(position: number): DocumentLoad['checkpoint'] {
    return { processor: this.#lease.processor, epoch: this.#lease.epoch, position }
  }

  #mustOwn(isOwned: boolean): void {
    if (!isOwned) throw new FencedError(`${this.#lease.processor} has been taken over: epoch ${this.#lease.epoch} is over`)
  }
}
