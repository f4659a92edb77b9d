import type { RecordedEvent } from '../message/event.ts'
import { InboxConflictError } from '../storage/errors.ts'
import type { EventStore } from '../storage/event-store.ts'
import type { DocumentWrite, MessageIdentity, StreamAppend, WriteSet } from '../storage/write-set.ts'
import { ByIdentity } from './by-identity.ts'
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

/** A message that is tried now, or is about to be. */
export interface Suspect {
  readonly position: number
  /** What makes it the same one should it come again; left out of one that is held, which keeps its position. */
  readonly identity?: string
}

/** What is kept with the checkpoint. */
export interface CheckpointState {
  readonly progress?: ProgressState
  /** How often in a row a process that had the lease has died. */
  readonly crashes?: number
  /** Messages that were about to be tried: the suspects, should the process die. */
  readonly trying?: readonly Suspect[]
}

export interface CheckpointWriterParts {
  readonly tenure: Tenure
  readonly store: EventStore
  readonly progress: Pick<Progress, 'position' | 'state'>
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
/** That wait for a checkpoint alone: a broker gives out no more before it has heard of enough of them. */
const manyMessages = 1_000
/** Where commits take long, one for a checkpoint alone waits so many times as long: work must not stand still for the sake of checkpoints. */
const pausePerCommit = 50
/** Of one commit. */
const maxBytes = 4 * 1024 * 1024

/** What is committed together: effects, and how far the processor has come when they are those that were added last. */
interface Batch {
  readonly effects: readonly Effect[]
  readonly bytes: number
  readonly finished: number
  readonly position: number
  readonly state: string | undefined
}

/** The next commit is to begin after so long; `sooner` ends the wait. */
interface Due {
  readonly withinMs: number
  readonly sooner: AbortController
}

/**
 * Commits what was done together with how far the processor has come: while one commit is under way, the next one fills. A checkpoint never says more
 * than what is committed with it or before.
 */
export class CheckpointWriter {
  readonly #parts: CheckpointWriterParts
  #effects: Effect[] = []
  #finished = 0
  #events = 0
  #bytes = 0
  #pendingBytes = 0
  /** Those before `#effects`, where they would have been too many for one commit. */
  #full: Batch[] = []
  #savedPosition: number
  #due: Due | undefined
  #committing: Promise<void> | undefined
  #flushing: Promise<boolean> | undefined
  #isClosed = false
  #pauseMs = withoutEffectsMs

  constructor(parts: CheckpointWriterParts) {
    this.#parts = parts
    this.#savedPosition = parts.tenure.lease.position
  }

  /** Effects that are not committed yet. */
  get pendingCount(): number {
    return this.#full.reduce((count, { effects }) => count + effects.length, this.#effects.length)
  }

  /** What is in memory of effects that are not committed yet. */
  get pendingBytes(): number {
    return this.#pendingBytes
  }

  /** To be called before the progress says that the effect's message is finished, so that no checkpoint can say so without it. */
  add(effect: Effect): void {
    const events = effect.append?.events ?? none
    let bytes = 0
    for (const { data } of events) bytes += data.length
    for (const { document } of effect.documents ?? none) bytes += document?.length ?? 0
    if (this.#events + events.length > this.#parts.store.limits.maxEventsPerAppend || this.#bytes + bytes > maxBytes) this.#fill()
    this.#events += events.length
    this.#bytes += bytes
    this.#pendingBytes += bytes
    this.#effects.push(effect)
    if (effect.event) this.#finished++
    const isUrgent = effect.append || effect.documents || effect.isRemembered || this.#effects.length >= manyMessages
    this.#changed(isUrgent ? 0 : withoutEffectsMs)
  }

  finishedWithoutEffect(count = 1, withinMs: number = this.#pauseMs): void {
    this.#finished += count
    this.#changed(withinMs)
  }

  /** The progress has changed without a message for this processor. */
  passed(): void {
    if (this.#parts.progress.position > this.#savedPosition) this.#changed(idleMs)
  }

  /** Resolves when all that was done so far is committed, with the checkpoint; to false when nothing can be committed any more. */
  flush(): Promise<boolean> {
    // Whoever asks before the next commit begins shares it.
    this.#flushing ??= this.#flushNext()
    return this.#flushing
  }

  async #flushNext(): Promise<boolean> {
    do await this.#committing
    while (this.#committing)
    this.#flushing = undefined
    if (this.#isClosed) return false
    this.#due?.sooner.abort()
    this.#due = undefined
    this.#committing = this.#commit()
    await this.#committing
    return !this.#isClosed
  }

  /** Nothing is committed from now on. */
  close(): void {
    this.#isClosed = true
    this.#due?.sooner.abort()
  }

  #changed(withinMs: number): void {
    if (this.#isClosed || (this.#due !== undefined && this.#due.withinMs <= withinMs)) return
    this.#due?.sooner.abort()
    this.#due = { withinMs, sooner: new AbortController() }
    if (!this.#committing) this.#await(this.#due)
  }

  #await(due: Due): void {
    const begin = (): void => {
      // It has not been done since, nor is another one due sooner.
      if (this.#due === due && !this.#committing) void this.flush()
    }
    if (due.withinMs === 0) setImmediate(begin)
    else void this.#parts.store.environment.clock.sleep(due.withinMs, due.sooner.signal).then(begin)
  }

  async #commit(): Promise<void> {
    this.#fill()
    const batches = this.#full
    this.#full = []
    const { onCommitted, onFailed, store } = this.#parts
    const beganMs = store.environment.clock.now()
    try {
      for (const batch of batches) {
        await this.#commitWithout(undefined, batch)
        this.#savedPosition = batch.position
        this.#pendingBytes -= batch.bytes
        onCommitted(batch.effects, batch.finished, batch.position)
      }
    } catch (error) {
      this.close()
      onFailed(error)
    } finally {
      this.#committing = undefined
      const tookMs = store.environment.clock.now() - beganMs
      this.#pauseMs = Math.min(idleMs, Math.max(withoutEffectsMs, pausePerCommit * tookMs))
    }
    if (this.#due && !this.#isClosed) this.#await(this.#due)
  }

  /** What was added so far is one commit; what comes now belongs to the next. */
  #fill(): void {
    const { position } = this.#parts.progress
    this.#full.push({ effects: this.#effects, bytes: this.#bytes, finished: this.#finished, position, state: this.#state() })
    this.#effects = []
    this.#finished = 0
    this.#events = 0
    this.#bytes = 0
  }

  async #commitWithout(known: ByIdentity<true> | undefined, batch: Batch): Promise<void> {
    const { store, tenure } = this.#parts
    const { processor, epoch } = tenure.lease
    const { effects, position, state } = batch
    const { set, repeated } = writeSetOf(effects, known, processor)
    if (repeated.length > 0)
      store.environment.log('warn', 'an event was emitted twice; the first one counts', { processor, eventIds: repeated })
    try {
      await store.commit({ ...set, checkpoint: { processor, epoch, position, state } }, { duplicates: 'skip' })
    } catch (error) {
      if (!(error instanceof InboxConflictError) || !set.inbox) throw error
      // Somebody else has finished some of them in the meantime: what they led to here must not be added to it.
      const found = await store.driver.inbox.find(processor, set.inbox.messages)
      if (found.length === 0) throw error
      const all = known ?? new ByIdentity<true>()
      for (const message of found) all.set(message, true)
      await this.#commitWithout(all, batch)
    }
  }

  #state(): string | undefined {
    const { progress, circumstances } = this.#parts
    const { state: progressState } = progress
    const state: CheckpointState = { ...(progressState && { progress: progressState }), ...circumstances() }
    return Object.keys(state).length > 0 ? JSON.stringify(state) : undefined
  }
}

const none: readonly never[] = []

export function identityOf({ source, id }: MessageIdentity): string {
  return `${source}\n${id}`
}

/** `repeated`: ids of events that stand in it already, since two messages have led to the same event. */
function writeSetOf(
  effects: readonly Effect[],
  known: ByIdentity<true> | undefined,
  consumer: string,
): { readonly set: Omit<WriteSet, 'checkpoint'>; readonly repeated: readonly string[] } {
  const appends: StreamAppend[] = []
  const appended = new Set<string>()
  const repeated: string[] = []
  const documents = new Map<string, DocumentWrite>()
  const messages: MessageIdentity[] = []
  const remembered = new ByIdentity<true>()
  for (const { event, isRemembered, append, documents: writes } of effects) {
    if (event && isRemembered) {
      if (known?.get(event)) continue
      if (!remembered.get(event)) messages.push(event)
      remembered.set(event, true)
    }
    if (append) {
      const repetition = append.events.find((one) => appended.has(identityOf(one)))
      if (repetition) repeated.push(repetition.id)
      else {
        for (const one of append.events) appended.add(identityOf(one))
        appends.push(append)
      }
    }
    // The last write of a document counts.
    for (const write of writes ?? []) documents.set(write.key, write)
  }
  return {
    set: {
      appends,
      documents: [...documents.values()],
      ...(messages.length > 0 && { inbox: { consumer, messages } }),
    },
    repeated,
  }
}
