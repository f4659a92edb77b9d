import type { RecordedEvent } from '../message/event.ts'
import { InboxConflictError } from '../storage/errors.ts'
import type { EventStore } from '../storage/event-store.ts'
import type { DocumentWrite, MessageIdentity, StreamAppend, WriteSet } from '../storage/write-set.ts'
import type { Tenure } from './processor.ts'
import type { Progress, ProgressState } from './progress.ts'

/** What one message, or one decision about it, has led to. */
export interface Effect {
  /** The message that is finished by it. */
  readonly event?: RecordedEvent
  /** Whether the message is to be remembered, so that it is recognised should it come again. */
  readonly isRemembered?: boolean
  readonly append?: StreamAppend | undefined
  readonly documents?: readonly DocumentWrite[]
}

/** What is kept with the checkpoint. */
export interface CheckpointState {
  readonly progress?: ProgressState
  /** How often in a row a process that had the lease has died. */
  readonly crashes?: number
  /** The positions of messages that were about to be tried: the suspects, should the process die. */
  readonly trying?: readonly number[]
}

export interface CheckpointWriterParts {
  readonly tenure: Tenure
  readonly store: EventStore
  readonly progress: Progress
  /** What the checkpoint's state says beside the progress. */
  readonly circumstances: () => Omit<CheckpointState, 'progress'>
  /** `finished` is how many messages are finished by it, those without effect included. */
  readonly onCommitted: (effects: readonly Effect[], finished: number, position: number) => void
  /** Nothing can be committed any more. */
  readonly onFailed: (error: unknown) => void
}

/** Effects are committed at once. So long may a checkpoint wait that moved past messages without any, and past what was not for this processor. */
const withoutEffectsMs = 10
const idleMs = 200

/**
 * Commits what was done together with how far the processor has come: while one commit is under way, the next one fills. A checkpoint never says more
 * than what is committed with it or before.
 */
export class CheckpointWriter {
  readonly #parts: CheckpointWriterParts
  #effects: Effect[] = []
  #finished = 0
  #savedPosition: number
  /** When the next commit is to begin at the latest. */
  #due: { readonly withinMs: number; readonly atMs: number } | undefined
  #committing: Promise<void> | undefined
  #flushing: Promise<void> | undefined
  #wake: (() => void) | undefined
  #isClosed = false

  constructor(parts: CheckpointWriterParts) {
    this.#parts = parts
    this.#savedPosition = parts.tenure.lease.position
  }

  /** Effects that are not committed yet. */
  get pendingCount(): number {
    return this.#effects.length
  }

  add(effect: Effect): void {
    this.#effects.push(effect)
    if (effect.event) this.#finished++
    this.#changed(effect.append || effect.documents || effect.isRemembered ? 0 : withoutEffectsMs)
  }

  finishedWithoutEffect(): void {
    this.#finished++
    this.#changed(withoutEffectsMs)
  }

  /** The progress has changed without a message for this processor. */
  passed(): void {
    if (this.#parts.progress.position > this.#savedPosition) this.#changed(idleMs)
  }

  /** Resolves when all that was done so far is committed, with the checkpoint. */
  flush(): Promise<void> {
    // Whoever asks before the next commit begins shares it.
    this.#flushing ??= this.#flushNext()
    return this.#flushing
  }

  async #flushNext(): Promise<void> {
    do await this.#committing
    while (this.#committing)
    this.#flushing = undefined
    if (this.#isClosed) return
    this.#due = undefined
    this.#committing = this.#commit()
    await this.#committing
  }

  /** Nothing is committed from now on. */
  close(): void {
    this.#isClosed = true
    this.#wake?.()
  }

  #changed(withinMs: number): void {
    if (this.#isClosed) return
    if (this.#due !== undefined && this.#due.withinMs <= withinMs) return
    const { clock } = this.#parts.store.environment
    this.#due = { withinMs, atMs: clock.now() + withinMs }
    this.#wake?.()
    if (this.#committing) return
    if (withinMs === 0) setImmediate(() => this.#flushIfDue())
    else {
      const sooner = new AbortController()
      this.#wake = () => sooner.abort()
      void clock.sleep(withinMs, sooner.signal).then(() => this.#flushIfDue())
    }
  }

  #flushIfDue(): void {
    if (this.#due === undefined || this.#committing || this.#isClosed) return
    if (this.#due.atMs <= this.#parts.store.environment.clock.now()) void this.flush()
  }

  async #commit(): Promise<void> {
    const effects = this.#effects
    this.#effects = []
    const finished = this.#finished
    this.#finished = 0
    const { progress, onCommitted, onFailed } = this.#parts
    const { position } = progress
    try {
      await this.#commitWithout(effects, new Set(), position, this.#state())
      this.#savedPosition = position
      onCommitted(effects, finished, position)
    } catch (error) {
      this.close()
      onFailed(error)
    } finally {
      this.#committing = undefined
    }
    const due = this.#due
    this.#due = undefined
    if (due) this.#changed(Math.max(0, due.atMs - this.#parts.store.environment.clock.now()))
  }

  async #commitWithout(effects: readonly Effect[], known: ReadonlySet<string>, position: number, state: string | undefined): Promise<void> {
    const { store, tenure } = this.#parts
    const { processor, epoch } = tenure.lease
    const set = writeSetOf(effects, known, processor)
    try {
      await store.commit({ ...set, checkpoint: { processor, epoch, position, state } }, { duplicates: 'skip' })
    } catch (error) {
      if (!(error instanceof InboxConflictError) || !set.inbox) throw error
      // Somebody else has finished some of them in the meantime: what they led to here must not be added to it.
      const found = await store.driver.inbox.find(processor, set.inbox.messages)
      if (found.length === 0) throw error
      await this.#commitWithout(effects, new Set([...known, ...found.map(identityOf)]), position, state)
    }
  }

  #state(): string | undefined {
    const { progress, circumstances } = this.#parts
    const state: CheckpointState = { ...(progress.state && { progress: progress.state }), ...circumstances() }
    return Object.keys(state).length > 0 ? JSON.stringify(state) : undefined
  }
}

export function identityOf({ source, id }: MessageIdentity): string {
  return `${source}\n${id}`
}

function writeSetOf(effects: readonly Effect[], known: ReadonlySet<string>, consumer: string): Omit<WriteSet, 'checkpoint'> {
  const appends: StreamAppend[] = []
  const documents = new Map<string, DocumentWrite>()
  const messages = new Map<string, MessageIdentity>()
  for (const { event, isRemembered, append, documents: writes } of effects) {
    if (event && isRemembered) {
      const identity = identityOf(event)
      if (known.has(identity)) continue
      messages.set(identity, { source: event.source, id: event.id })
    }
    if (append) appends.push(append)
    // The last write of a document counts.
    for (const write of writes ?? []) documents.set(write.key, write)
  }
  return {
    appends,
    documents: [...documents.values()],
    ...(messages.size > 0 && { inbox: { consumer, messages: [...messages.values()] } }),
  }
}
