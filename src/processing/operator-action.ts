import { uuidv7 } from '../message/id.ts'
import type { CollectionSpec } from '../storage/document-port.ts'
import { encodeField } from '../storage/field.ts'
import type { DocumentWrite } from '../storage/write-set.ts'
import type { EventStore } from '../storage/event-store.ts'
import type { DeadLetter } from './dead-letter.ts'
import { deadLetterCollection } from './dead-letter.ts'

/**
 * What an operator wants done with a dead letter. It is asked for by whomever, and done by the process that owns the processor, together with its other work:
 * so nobody ever takes something out of a lane while another one puts something in. It stays as the record of what was done, by whom and why.
 */
export interface OperatorAction {
  readonly id: string
  /** `reset` and what concerns a broker's own dead letters (`move-back`, `cancel-move`) are done by whoever asks for them, and are records only. */
  readonly kind: 'retry' | 'discard' | 'edit' | RecordedKind
  readonly processor: string
  /** Id of the dead letter; of a record only, the processor. */
  readonly letter: string
  /** Of an edit: the data to handle instead. */
  readonly data?: unknown
  readonly by: string
  readonly reason: string
  /** ISO 8601. */
  readonly requestedAt: string
  readonly state: 'requested' | 'done' | 'refused'
  /** How it went: `succeeded`, `failed`, `discarded` or `edited`; of a record only, what was done; or why it was refused. */
  readonly outcome: string | null
  readonly doneAt: string | null
  /** The dead letter as it was, where it is not kept anywhere else. */
  readonly before?: DeadLetter
}

export type RecordedKind = 'reset' | 'move-back' | 'cancel-move'

export const actionCollection: CollectionSpec = {
  id: 'headwater:operator-actions@1.1',
  projection: 'headwater:operator-actions',
  version: 1,
  indexed: ['state', 'processor', 'letter', 'requestedAt'],
  searchable: false,
}

const prepared = new WeakMap<EventStore, Promise<void>>()

/** Makes the collections of dead letters and actions where they are missing; once a store and process, whoever asks. */
export function prepareDeadLetters(store: EventStore): Promise<void> {
  const known = prepared.get(store) ?? makeCollections(store)
  prepared.set(store, known)
  // What failed is tried again by whoever asks next.
  known.catch(() => prepared.delete(store))
  return known
}

async function makeCollections({ driver }: EventStore): Promise<void> {
  for (const collection of [deadLetterCollection, actionCollection]) {
    await driver.documents.create(collection)
    await driver.documents.index(collection.id)
  }
}

/** Keeps on record what whoever asked for it has done. */
export async function recordAction(
  store: EventStore,
  action: {
    readonly kind: RecordedKind
    readonly processor: string
    readonly by: string
    readonly reason: string
    readonly outcome: string
  },
): Promise<void> {
  const nowMs = store.environment.clock.now()
  const at = new Date(nowMs).toISOString()
  await prepareDeadLetters(store)
  const done = { ...action, id: uuidv7(nowMs), letter: action.processor, requestedAt: at, state: 'done', doneAt: at } as const
  await store.commit({ appends: [], documents: [writeAction(done)] })
}

/** The action as it is kept when it is over. */
export function writeAnswer(action: OperatorAction, state: 'done' | 'refused', outcome: string, nowMs: number): DocumentWrite {
  return writeAction({ ...action, state, outcome, doneAt: new Date(nowMs).toISOString() })
}

/** So many of the latest wishes of operators are remembered. */
const rememberedActions = 10_000

/** The actions that were taken up, so that what is being done, and is told again, is not done twice. */
export class TakenActions {
  readonly #ids = new Set<string>()

  /** False when it was taken up before. */
  add({ id }: OperatorAction): boolean {
    if (this.#ids.has(id)) return false
    this.#ids.add(id)
    for (const oldest of this.#ids) {
      if (this.#ids.size <= rememberedActions) break
      this.#ids.delete(oldest)
    }
    return true
  }
}

export function writeAction(action: OperatorAction): DocumentWrite {
  const values = action as unknown as Readonly<Record<string, unknown>>
  return {
    collection: actionCollection.id,
    key: action.id,
    document: JSON.stringify(action),
    fields: actionCollection.indexed.map((field) => encodeField(values[field])),
    words: null,
  }
}
