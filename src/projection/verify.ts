import { isDeepStrictEqual } from 'node:util'
import type { ProcessingContext } from '../processing/processor.ts'
import type { CollectionSpec, DocumentStore, FoundDocument } from '../storage/document-port.ts'
import { DocumentFolder } from './document-folder.ts'
import { VerificationRunningError } from './errors.ts'
import type { AnyProjection } from './projection.ts'

/** A document that is not what the log makes of it; undefined where there should be none, or where it is missing. */
export interface Difference {
  readonly key: string
  readonly stored: unknown
  readonly expected: unknown
}

export interface Verification {
  /** Up to here the log was replayed. */
  readonly position: number
  readonly documents: number
  readonly differences: readonly Difference[]
}

export interface VerifyOptions {
  /** Called now and then while the log is replayed. */
  readonly onProgress?: (progress: { readonly position: number; readonly head: number }) => void
  readonly signal?: AbortSignal
}

/** What is verified: the collection that is read, and how to wait until it holds everything up to a position. */
export interface Verified {
  readonly projection: AnyProjection
  readonly collection: CollectionSpec
  waitFor(position: number): Promise<void>
}

const pageSize = 1_000
/** How often documents that differ are looked at again, since events may have come between reading the one and the other. */
const looks = 5

/**
 * Replays the whole log into a shadow of the read model and compares document by document. The read model may go on meanwhile: what differs is looked at
 * again when both have seen the same events, and counts only if it still differs.
 * @throws VerificationRunningError when somebody else verifies the same projection
 */
export async function verifyReadModel(verified: Verified, context: ProcessingContext, options: VerifyOptions = {}): Promise<Verification> {
  const { projection, collection } = verified
  const { documents } = context.store.driver
  const lock = await context.leases.claim(`verification:${projection.name}`, 0)
  if (!('lost' in lock)) throw new VerificationRunningError(projection.name, lock.heldBy)
  // Not a generation of the projection, so that nobody takes it for one.
  const shadow: CollectionSpec = { ...collection, id: `${collection.id}.shadow`, projection: `verification:${projection.name}` }
  try {
    // Of this verification, or of one that was killed: nobody else has the lock.
    for (const { id } of await documents.list(shadow.projection)) await documents.drop(id, '')
    await documents.create(shadow)
    const replay = new Replay(projection, shadow, context)
    let position = await replay.toEnd(options)
    await verified.waitFor(position)
    const { compared, keys: suspects } = await differingKeys(documents, collection.id, shadow.id, options.signal)
    let keys = suspects
    let differences: readonly Difference[] = []
    for (let look = 0; keys.length > 0 && look < looks; look++) {
      position = await replay.toEnd(options)
      await verified.waitFor(position)
      differences = await compare(documents, collection.id, shadow.id, keys)
      keys = differences.map(({ key }) => key)
      // Nothing came in between: whatever differs now differs for good.
      if ((await context.store.log()).head === position) break
    }
    return { position, documents: compared, differences }
  } finally {
    await documents.drop(shadow.id, lock.processor)
    await context.leases.release(lock).catch(() => undefined)
  }
}

/** Folds the log into the shadow, which needs neither checkpoint nor lease: if this process dies, it is thrown away. */
class Replay {
  readonly #folder: DocumentFolder
  readonly #types: readonly string[]
  readonly #context: ProcessingContext
  #position = 0

  constructor(projection: AnyProjection, shadow: CollectionSpec, context: ProcessingContext) {
    this.#folder = new DocumentFolder(projection, shadow, context.store.driver.documents)
    this.#folder.begin({ isEmpty: true })
    this.#types = Object.keys(projection.events)
    this.#context = context
  }

  async toEnd({ onProgress, signal }: VerifyOptions): Promise<number> {
    const { store } = this.#context
    const { head } = await store.log()
    while (this.#position < head) {
      signal?.throwIfAborted()
      const events = await store.readLogPage({ after: this.#position, upTo: head, limit: 2_000, types: this.#types })
      const { failure } = await this.#folder.fold(events)
      if (failure) throw failure.error
      await store.commit(this.#folder.effects())
      this.#position = events.at(-1)?.position ?? head
      onProgress?.({ position: this.#position, head })
    }
    return this.#position
  }
}

async function differingKeys(
  documents: DocumentStore,
  stored: string,
  expected: string,
  signal: AbortSignal | undefined,
): Promise<{ readonly compared: number; readonly keys: readonly string[] }> {
  const keys: string[] = []
  let compared = 0
  const left = inKeyOrder(documents, stored)
  const right = inKeyOrder(documents, expected)
  let a = (await left.next()).value
  let b = (await right.next()).value
  while (a || b) {
    signal?.throwIfAborted()
    compared++
    const order: number = !a ? 1 : !b ? -1 : Buffer.compare(Buffer.from(a.key), Buffer.from(b.key))
    if (order !== 0) keys.push((order < 0 ? a : b)!.key)
    else if (!isSame(a!.document, b!.document)) keys.push(a!.key)
    if (order <= 0) a = (await left.next()).value
    if (order >= 0) b = (await right.next()).value
  }
  return { compared, keys }
}

async function* inKeyOrder(documents: DocumentStore, collection: string): AsyncGenerator<FoundDocument, undefined> {
  let after: { readonly sortValues: readonly string[]; readonly key: string } | undefined
  for (;;) {
    const page = await documents.find(collection, { where: [], sort: [], limit: pageSize, ...(after && { after }) })
    yield* page
    if (page.length < pageSize) return
    after = { sortValues: [], key: page.at(-1)!.key }
  }
}

async function compare(
  documents: DocumentStore,
  stored: string,
  expected: string,
  keys: readonly string[],
): Promise<readonly Difference[]> {
  const differences: Difference[] = []
  for (let from = 0; from < keys.length; from += pageSize) {
    const some = keys.slice(from, from + pageSize)
    const [left, right] = await Promise.all([documents.get(stored, some), documents.get(expected, some)])
    for (const key of some) {
      const [is, shouldBe] = [parsed(left.get(key)), parsed(right.get(key))]
      if (!isDeepStrictEqual(is, shouldBe)) differences.push({ key, stored: is, expected: shouldBe })
    }
  }
  return differences
}

function isSame(a: string, b: string): boolean {
  return a === b || isDeepStrictEqual(JSON.parse(a), JSON.parse(b))
}

function parsed(text: string | undefined): unknown {
  return text === undefined ? undefined : JSON.parse(text)
}
