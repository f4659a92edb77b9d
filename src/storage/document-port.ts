import type { CheckpointMove } from './write-set.ts'

/**
 * Where read models live. A collection holds the documents of one generation of one projection; while a new generation is built, the old one
 * is read.
 */
export interface DocumentStore {
  /** Makes the collection, without secondary indexes so that filling it is fast. Nothing happens if it is there. */
  create(spec: CollectionSpec): Promise<void>
  /** Builds the indexes on fields and words. Nothing happens where they are there. */
  index(collection: string): Promise<void>
  /**
   * In one transaction: this collection is `live`, the other live ones of its projection are `retired`. Refused (false) when the checkpoint of
   * `processor` is behind that of `notBehind`, so that readers never go back in time.
   */
  promote(promotion: { readonly collection: string; readonly processor: string; readonly notBehind?: string }): Promise<boolean>
  /** Removes the collection with its documents, and its processor. */
  drop(collection: string, processor: string): Promise<void>
  list(projection?: string): Promise<readonly CollectionInfo[]>

  /** JSON texts of the documents that exist, by key. */
  get(collection: string, keys: readonly string[]): Promise<ReadonlyMap<string, string>>
  find(collection: string, find: EncodedFind): Promise<readonly FoundDocument[]>
  /**
   * Writes many documents of one collection and moves the checkpoint of whoever builds it, in a transaction of its own: several times as fast as a
   * write set, which asks of each document whether it is there. False when the checkpoint may not be moved, for the reasons for which a write set is
   * fenced off; nothing is written then, nor when it fails.
   */
  load(load: DocumentLoad): Promise<boolean>
  /** Removes all documents of the collection, under the same conditions as `load`. */
  clear(collection: string, checkpoint: CheckpointMove): Promise<boolean>
  count(collection: string): Promise<number>
}

export interface CollectionSpec {
  /** `order-summary@2.1`: projection, version, and how often that version was built. */
  readonly id: string
  readonly projection: string
  readonly version: number
  readonly indexed: readonly string[]
  readonly searchable: boolean
}

export interface CollectionInfo extends CollectionSpec {
  readonly state: 'building' | 'live' | 'retired'
  /** When the state last changed, in milliseconds since 1970. */
  readonly changedAtMs: number
}

export interface FoundDocument {
  readonly key: string
  /** JSON text. */
  readonly document: string
  /** The encoded values of the fields in `sort`, in its order: with the key, where the next page begins. */
  readonly sortValues: readonly string[]
}

export interface DocumentLoad {
  readonly collection: string
  /** Each key once, and new to the collection or among `replaced`; else the load fails. */
  readonly documents: readonly LoadedDocument[]
  /** Keys of documents that go before the others come; they may well not be there. */
  readonly replaced: readonly string[]
  readonly checkpoint: CheckpointMove
}

export interface LoadedDocument {
  readonly key: string
  readonly document: string
  readonly fields: readonly string[]
  readonly words: string | null
}

/** Fields are numbered by their place in the collection's `indexed`; values are encoded, and compare as text, byte by byte. */
export interface EncodedFind {
  readonly where: readonly EncodedCondition[]
  /** All of these words must be there, each at the beginning of one. */
  readonly words?: readonly string[]
  /** The key comes last by itself, ascending. */
  readonly sort: readonly { readonly field: number; readonly descending: boolean }[]
  readonly limit: number
  /** Only what comes behind this place in the order. */
  readonly after?: { readonly sortValues: readonly string[]; readonly key: string }
}

export type EncodedCondition =
  | { readonly field: number; readonly in: readonly string[] }
  /** `from` is included, `below` is not. */
  | { readonly field: number; readonly from?: string; readonly below?: string }
