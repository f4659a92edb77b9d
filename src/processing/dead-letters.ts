import { uuidv7 } from '../message/id.ts'
import type { DocumentPage, Documents } from '../storage/documents.ts'
import { documentsOf } from '../storage/documents.ts'
import type { EventStore } from '../storage/event-store.ts'
import type { DeadLetter, DeadLetterState, StoredMessage } from './dead-letter.ts'
import { deadLetterCollection, storedMessage } from './dead-letter.ts'
import { UnknownDeadLetterError } from './errors.ts'
import type { OperatorAction } from './operator-action.ts'
import { actionCollection, prepareDeadLetters, writeAction } from './operator-action.ts'

export interface DeadLetterFilter {
  readonly processor?: string | readonly string[]
  readonly state?: DeadLetterState | readonly DeadLetterState[]
  readonly key?: string
  readonly type?: string
  readonly fingerprint?: string
}

/** Messages that failed for the same reason. */
export interface DeadLetterGroup {
  readonly fingerprint: string
  readonly processor: string
  /** The error of one of them. */
  readonly error: string
  /** Those that failed, and those that wait behind them. */
  readonly failed: number
  readonly waiting: number
  readonly types: readonly string[]
  /** When the first and the latest of them failed. */
  readonly firstFailedAt: string
  readonly lastFailedAt: string
}

export interface ActionOptions {
  /** Who asks for it. */
  readonly by: string
  readonly reason?: string
  /** How long to wait until the owner of the processor has done it. Default: 10,000. */
  readonly waitMs?: number
}

export interface RedriveOptions extends ActionOptions {
  /** At most so many messages a second. Default: 100. */
  readonly perSecond?: number
  /** It stops when so large a part of a step fails again. Default: 0.1. */
  readonly failureRate?: number
  readonly onProgress?: (progress: RedriveProgress) => void
  readonly signal?: AbortSignal
}

export interface RedriveProgress {
  readonly retried: number
  readonly succeeded: number
  readonly failed: number
}

export interface RedriveResult extends RedriveProgress {
  /** Why it ended before all were tried; undefined when they were. */
  readonly stopped: string | undefined
}

type Letters = Documents<DeadLetter, 'processor' | 'state' | 'key' | 'position' | 'type' | 'fingerprint' | 'failedAt'>
type Actions = Documents<OperatorAction, 'state' | 'processor' | 'letter' | 'requestedAt'>

const pageSize = 1_000
const lookEveryMs = 50
/** How many a redrive tries before it goes on to the next step; the last step takes the rest, so many at a time. */
const steps = [1, 10, 100]

/**
 * The messages that could not be handled, for operators: to be looked at, mended, tried again, thrown away. Whatever changes one is asked for here and
 * done by the process that runs the processor, and is kept on record.
 */
export class DeadLetters {
  readonly #store: EventStore
  readonly #letters: Letters
  readonly #actions: Actions

  constructor(store: EventStore) {
    const { documents } = store.driver
    const collection =
      <Spec>(spec: Spec) =>
      (): Promise<Spec> =>
        prepareDeadLetters(store).then(() => spec)
    this.#store = store
    this.#letters = documentsOf(documents, collection(deadLetterCollection), (text) => JSON.parse(text)) as Letters
    this.#actions = documentsOf(documents, collection(actionCollection), (text) => JSON.parse(text)) as Actions
  }

  /** In the order of their positions, a page at a time. */
  list(
    filter: DeadLetterFilter = {},
    { limit = 100, after }: { readonly limit?: number; readonly after?: string } = {},
  ): Promise<DocumentPage<DeadLetter>> {
    const { processor, state, ...rest } = filter
    const where = {
      ...rest,
      ...(processor !== undefined && { processor: oneOf(processor) }),
      ...(state !== undefined && { state: oneOf(state) }),
    }
    return this.#letters.page({ where, sort: { position: 'ascending' }, limit, ...(after !== undefined && { after }) })
  }

  /** With the message, wherever it is kept. */
  async get(id: string): Promise<(DeadLetter & { readonly message: StoredMessage | null }) | undefined> {
    const letter = await this.#letters.get(id)
    if (!letter || letter.message) return letter
    const [event] = await this.#store.readLogPage({ after: letter.position - 1, upTo: letter.position, limit: 1 })
    return event ? { ...letter, message: storedMessage(event) } : letter
  }

  /** By what failed, the largest first. */
  async groups(filter: Pick<DeadLetterFilter, 'processor'> = {}): Promise<readonly DeadLetterGroup[]> {
    const groups = new Map<string, Mutable<DeadLetterGroup> & { types: string[] }>()
    /** Which group the waiting messages of a lane belong to. */
    const lanes = new Map<string, string>()
    for await (const { processor, key, state, fingerprint, error, failedAt, type } of this.#all(filter)) {
      const lane = `${processor}\n${key}`
      const group = groups.get((state === 'waiting' ? lanes.get(lane) : fingerprint) ?? '')
      if (state === 'waiting') {
        if (group) group.waiting++
        continue
      }
      if (fingerprint === null || failedAt === null) continue
      if (state !== 'dead') lanes.set(lane, fingerprint)
      if (!group) {
        const first = { failed: 1, waiting: 0, types: [type], firstFailedAt: failedAt, lastFailedAt: failedAt }
        groups.set(fingerprint, { fingerprint, processor, error: error?.message ?? '', ...first })
        continue
      }
      group.failed++
      if (!group.types.includes(type)) group.types.push(type)
      if (failedAt < group.firstFailedAt) group.firstFailedAt = failedAt
      if (failedAt > group.lastFailedAt) group.lastFailedAt = failedAt
    }
    return [...groups.values()].toSorted((a, b) => b.failed - a.failed)
  }

  /**
   * One more attempt, now. `outcome` of what it resolves to says how it went. An event that a relay could not publish is published then behind later ones of its
   * key, which did not wait for it.
   */
  retry(id: string, options: ActionOptions): Promise<OperatorAction> {
    return this.#ask('retry', id, options)
  }

  /** Throws the message away; what waits behind it goes on. The record keeps it. */
  discard(id: string, options: ActionOptions): Promise<OperatorAction> {
    return this.#ask('discard', id, options)
  }

  /**
   * Handles other data in the place of the message's own, which is kept beside it. The message is tried again by `retry`.
   * Refused for the events of a relay, which are in the log.
   */
  edit(id: string, data: unknown, options: ActionOptions): Promise<OperatorAction> {
    return this.#ask('edit', id, options, { data })
  }

  /** What operators have asked for, the latest first: of all dead letters, or of one, which need not be there any more. */
  async actions({ limit = 100, letter }: { readonly limit?: number; readonly letter?: string } = {}): Promise<readonly OperatorAction[]> {
    return this.#actions.find({ ...(letter !== undefined && { where: { letter } }), sort: { requestedAt: 'descending' }, limit })
  }

  /**
   * Tries failed messages again, in the order of their positions: one, then ten, then a hundred, then the rest. It stops by itself when too many of a step
   * fail again; what was not tried stays as it is. A message that was dealt with in the meantime is left out.
   */
  async redrive(filter: Omit<DeadLetterFilter, 'state'>, options: RedriveOptions): Promise<RedriveResult> {
    const { perSecond = 100, failureRate = 0.1, onProgress, signal } = options
    const { clock } = this.#store.environment
    const ids: string[] = []
    for await (const { id } of this.#all({ ...filter, state: ['retrying', 'parked', 'dead'] })) ids.push(id)
    const progress = { retried: 0, succeeded: 0, failed: 0 }
    for (let step = 0, next = 0; next < ids.length; step++) {
      if (signal?.aborted) return { ...progress, stopped: 'it was interrupted' }
      const batch = ids.slice(next, next + (steps[step] ?? steps.at(-1)!))
      next += batch.length
      const startedMs = clock.now()
      const actions = (await Promise.all(batch.map((id) => this.#retryIfThere(id, options)))).filter((action) => action !== undefined)
      const failed = actions.filter(({ outcome }) => outcome !== 'succeeded')
      progress.retried += actions.length
      progress.failed += failed.length
      progress.succeeded += actions.length - failed.length
      onProgress?.({ ...progress })
      if (failed.length > actions.length * failureRate) {
        const [one] = failed
        const reason = one!.state === 'requested' ? `nobody has done it: is ${one!.processor} running?` : `${one!.letter}: ${one!.outcome}`
        return { ...progress, stopped: `${failed.length} of ${actions.length} failed again; ${reason}` }
      }
      const paceMs = (batch.length / perSecond) * 1_000 - (clock.now() - startedMs)
      if (paceMs > 0 && next < ids.length) await clock.sleep(paceMs, signal)
    }
    return { ...progress, stopped: undefined }
  }

  /** What is asked for and not done yet, the oldest first. */
  async requested(): Promise<readonly OperatorAction[]> {
    return this.#actions.find({ where: { state: 'requested' }, sort: { requestedAt: 'ascending' }, limit: pageSize })
  }

  async *#all(filter: DeadLetterFilter): AsyncIterable<DeadLetter> {
    let after: string | undefined
    do {
      const page: DocumentPage<DeadLetter> = await this.list(filter, { limit: pageSize, ...(after !== undefined && { after }) })
      yield* page.documents
      after = page.next
    } while (after !== undefined)
  }

  async #retryIfThere(id: string, options: ActionOptions): Promise<OperatorAction | undefined> {
    try {
      return await this.retry(id, options)
    } catch (error) {
      if (error instanceof UnknownDeadLetterError) return undefined
      throw error
    }
  }

  async #ask(
    kind: OperatorAction['kind'],
    letterId: string,
    { by, reason = '', waitMs = 10_000 }: ActionOptions,
    content: { readonly data?: unknown } = {},
  ): Promise<OperatorAction> {
    const { clock } = this.#store.environment
    const letter = await this.#letters.get(letterId)
    if (!letter) throw new UnknownDeadLetterError(letterId)
    const id = uuidv7(clock.now())
    const requestedAt = new Date(clock.now()).toISOString()
    const { processor } = letter
    const asked: OperatorAction = {
      id,
      kind,
      processor,
      letter: letterId,
      ...content,
      by,
      reason,
      requestedAt,
      state: 'requested',
      outcome: null,
      doneAt: null,
    }
    await this.#store.commit({ appends: [], documents: [writeAction(asked)] })
    for (const untilMs = clock.now() + waitMs; clock.now() < untilMs; await clock.sleep(lookEveryMs)) {
      const action = await this.#actions.get(id)
      if (action && action.state !== 'requested') return action
    }
    return asked
  }
}

function oneOf<T extends string>(wanted: T | readonly T[]): T | { readonly in: readonly T[] } {
  return typeof wanted === 'string' ? wanted : { in: wanted }
}

type Mutable<T> = { -readonly [Key in keyof T]: T[Key] }
