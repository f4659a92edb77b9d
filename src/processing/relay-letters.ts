import type { RecordedEvent } from '../message/event.ts'
import type { EventStore } from '../storage/event-store.ts'
import type { TransportConnection } from '../transport/port.ts'
import type { Topic } from '../transport/topic.ts'
import { encodeMessage } from '../transport/wire.ts'
import type { CheckpointWriter } from './checkpoint-writer.ts'
import type { DeadLetter, FailedAttemptReport } from './dead-letter.ts'
import { deadLetterCollection, deadLetterId, failedLetter, removeDeadLetter, writeDeadLetter } from './dead-letter.ts'
import { findInLog } from './log-messages.ts'
import type { OperatorAction } from './operator-action.ts'
import { TakenActions, writeAnswer } from './operator-action.ts'

export interface RelayLettersParts {
  readonly processor: string
  readonly topic: Topic
  readonly connection: TransportConnection
  readonly store: EventStore
  readonly writer: CheckpointWriter
  /** Aborted when nothing more is to begin. */
  readonly signal: AbortSignal
  readonly onFailed: (error: unknown) => void
}

/**
 * The events that a broker refused for good, while the later ones of their key went on; and what operators want done with them. An event that is retried comes
 * after those: whoever reads the topic gets it out of order.
 */
export class RelayLetters {
  readonly #parts: RelayLettersParts
  readonly #taken = new TakenActions()
  #asked: OperatorAction[] = []
  #acting: Promise<void> | undefined

  constructor(parts: RelayLettersParts) {
    this.#parts = parts
  }

  /** To be called before the checkpoint moves past the event: it is stored together with that. */
  putAside(event: RecordedEvent, error: Error): void {
    const { processor, store, topic, writer } = this.#parts
    const { log, metrics } = store.environment
    log('error', 'an event cannot be published', { topic: topic.name, position: event.position, error })
    metrics.count('headwater_messages_dead_total', 1, { processor })
    writer.add({ documents: [writeDeadLetter(this.#letterOf(event, { error, atMs: this.#nowMs, durationMs: 0 }, undefined))] })
  }

  /** Does it soon, after what was asked for before; nothing when it was told before. */
  act(action: OperatorAction): void {
    if (!this.#taken.add(action)) return
    this.#asked.push(action)
    this.#acting ??= this.#carryOutAll()
      .catch(this.#parts.onFailed)
      .finally(() => (this.#acting = undefined))
  }

  /** Resolves when nothing is being done; what was not begun stays asked for. */
  async settled(): Promise<void> {
    await this.#acting
  }

  async #carryOutAll(): Promise<void> {
    const { signal, writer } = this.#parts
    while (this.#asked.length > 0) {
      // What became of a letter so far may not be written yet. Meanwhile the rest of a redrive is told.
      if (!(await writer.flush())) return
      const asked = this.#asked.toSorted((a, b) => this.#positionOf(a) - this.#positionOf(b))
      this.#asked = []
      for (const action of asked) {
        if (signal.aborted) return
        await this.#carryOut(action)
        await writer.flush()
      }
    }
  }

  async #carryOut(action: OperatorAction): Promise<void> {
    const { store, writer } = this.#parts
    const id = action.letter
    const text = (await store.driver.documents.get(deadLetterCollection.id, [id])).get(id)
    if (text === undefined) return this.#answer(action, 'refused', 'there is no such dead letter')
    const letter = JSON.parse(text) as DeadLetter
    switch (action.kind) {
      case 'discard':
        return writer.add({
          documents: [removeDeadLetter(id), writeAnswer({ ...action, before: letter }, 'done', 'discarded', this.#nowMs)],
        })
      case 'edit':
        return this.#answer(action, 'refused', 'it is in the log, which nobody edits: append another event')
      case 'retry':
        return this.#retry(action, letter)
    }
  }

  async #retry(action: OperatorAction, letter: DeadLetter): Promise<void> {
    const { processor, store, topic, writer } = this.#parts
    const { position } = letter
    const event = await findInLog(store, position)
    if (!event) return this.#answer(action, 'refused', 'the event is not in the log any more')
    const atMs = this.#nowMs
    const error = await this.#publish(event)
    if (error === undefined) {
      store.environment.log('info', 'an event was published late: it comes after later ones of its key', { processor, position })
      return writer.add({ documents: [removeDeadLetter(letter.id), writeAnswer(action, 'done', 'succeeded', this.#nowMs)] })
    }
    store.environment.log('error', 'an event cannot be published', { topic: topic.name, position, error })
    const failed = this.#letterOf(event, { error, atMs, durationMs: this.#nowMs - atMs }, letter)
    writer.add({ documents: [writeDeadLetter(failed), writeAnswer(action, 'done', 'failed', this.#nowMs)] })
  }

  /** Resolves to why the broker has not confirmed it. */
  async #publish(event: RecordedEvent): Promise<unknown> {
    const { connection, topic } = this.#parts
    try {
      const [outcome] = await connection.publish(topic.name, [encodeMessage(event, topic)])
      return outcome!.ok ? undefined : outcome!.error
    } catch (error) {
      return error
    }
  }

  #answer(action: OperatorAction, state: 'done' | 'refused', outcome: string): void {
    this.#parts.writer.add({ documents: [writeAnswer(action, state, outcome, this.#nowMs)] })
  }

  #letterOf(event: RecordedEvent, report: FailedAttemptReport, before: DeadLetter | undefined): DeadLetter {
    const { processor } = this.#parts
    const { position, stream, type } = event
    const id = deadLetterId(processor, position)
    const frame = { id, processor, key: stream, position, type, message: null, origin: null, nextAttemptAt: null, edit: null }
    return failedLetter(frame, report, before)
  }

  #positionOf({ letter }: OperatorAction): number {
    return Number(letter.slice(this.#parts.processor.length + 1))
  }

  get #nowMs(): number {
    return this.#parts.store.environment.clock.now()
  }
}
