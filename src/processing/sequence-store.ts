import type { CollectionSpec } from '../storage/document-port.ts'
import type { EventStore } from '../storage/event-store.ts'
import type { DocumentWrite } from '../storage/write-set.ts'
import type { NumberRange } from './sequence-numbers.ts'
import { Sequence } from './sequence.ts'

/** What is known of a stream by a processor. One small document a stream and processor, which stays for ever: a producer may go on after years. */
interface StoredSequence {
  /** Usually one range. */
  readonly done: readonly NumberRange[]
}

const collection: CollectionSpec = {
  id: 'headwater:sequences@1.1',
  projection: 'headwater:sequences',
  version: 1,
  indexed: [],
  searchable: false,
}

/** Sequences that nobody uses at the moment are kept in memory up to so many. */
const keptSequences = 10_000
const forgottenAtOnce = 1_000

const prepared = new WeakMap<EventStore, Promise<void>>()

/** Makes the collection where it is missing; once a store and process, whoever asks. */
export function prepareSequences(store: EventStore): Promise<void> {
  const known = prepared.get(store) ?? store.driver.documents.create(collection)
  prepared.set(store, known)
  // What failed is tried again by whoever asks next.
  known.catch(() => prepared.delete(store))
  return known
}

/** Forgets what a processor is done with, so that it takes everything again. To be called while nobody runs it. */
export async function forgetSequences(store: EventStore, processor: string): Promise<void> {
  const { documents } = store.driver
  if ((await documents.list(collection.projection)).length === 0) return
  const prefix = keyOf(processor, '')
  for (;;) {
    // Keys ascend byte by byte: those that begin alike stand together.
    const page = await documents.find(collection.id, {
      where: [],
      sort: [],
      limit: forgottenAtOnce,
      after: { sortValues: [], key: prefix },
    })
    const own = page.filter(({ key }) => key.startsWith(prefix))
    if (own.length === 0) return
    const removals = own.map(({ key }) => ({ collection: collection.id, key, document: null, fields: [], words: null }))
    await store.commit({ appends: [], documents: removals })
  }
}

/** The sequences of one processor: those in use, and the latest of the others. Only the owner of the processor's lease writes them, with its checkpoint. */
export class SequenceStore {
  readonly #processor: string
  readonly #store: EventStore
  /** Those used last stand last. */
  readonly #sequences = new Map<string, Sequence>()

  constructor(processor: string, store: EventStore) {
    this.#processor = processor
    this.#store = store
  }

  /** After it they are there until the next call: in one statement, and in none when all of them were used not long ago. */
  async load(streams: ReadonlySet<string>): Promise<void> {
    const missing: string[] = []
    for (const stream of streams) {
      const known = this.#sequences.get(stream)
      if (known) {
        this.#sequences.delete(stream)
        this.#sequences.set(stream, known)
      } else missing.push(stream)
    }
    if (missing.length === 0) return
    this.#forget(streams)
    const keys = missing.map((stream) => keyOf(this.#processor, stream))
    const found = await this.#store.driver.documents.get(collection.id, keys)
    for (const [index, stream] of missing.entries()) {
      const text = found.get(keys[index]!)
      this.#sequences.set(stream, new Sequence(stream, text === undefined ? undefined : (JSON.parse(text) as StoredSequence).done))
    }
  }

  /** One that was loaded, and is in use since. */
  get(stream: string): Sequence {
    return this.#sequences.get(stream)!
  }

  write({ stream, done }: Sequence): DocumentWrite {
    const document: StoredSequence = { done }
    return { collection: collection.id, key: keyOf(this.#processor, stream), document: JSON.stringify(document), fields: [], words: null }
  }

  #forget(except: ReadonlySet<string>): void {
    let tooMany = this.#sequences.size - keptSequences
    for (const [stream, sequence] of this.#sequences) {
      if (tooMany <= 0) return
      if (!sequence.isIdle || except.has(stream)) continue
      this.#sequences.delete(stream)
      tooMany--
    }
  }
}

function keyOf(processor: string, stream: string): string {
  // No name holds the separator.
  return `${processor}\n${stream}`
}
