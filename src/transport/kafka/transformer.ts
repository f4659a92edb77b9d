import { onBehalfOf } from '../../message/context.ts'
import { HeadwaterError, InvalidCloudEventError, InvalidDefinitionError, InvalidMessageError } from '../../message/errors.ts'
import type { EventMap, NewEvent, RecordedEvent } from '../../message/event.ts'
import { uuidFrom } from '../../message/id.ts'
import { validate } from '../../message/schema.ts'
import type { Environment } from '../../observability/environment.ts'
import { describeError } from '../../observability/log.ts'
import { decodeEvent, UnknownEventError } from '../../schema/upcast.ts'
import { backoffMs } from '../../storage/backoff.ts'
import { MessageTooLargeError, UnreadableMessageError } from '../errors.ts'
import type { ReceivedMessage } from '../port.ts'
import type { Topic } from '../topic.ts'
import { decodeMessage, encodeMessage } from '../wire.ts'
import type { TopicRecord } from './client/transactional-sender.ts'
import { toDeadLetter } from './dead-letter-record.ts'
import { batchOverhead, toRecord } from './records.ts'
import type { TransformContext } from './transform-attempt.ts'
import { TransformAttempt } from './transform-attempt.ts'

export interface TransformRetry {
  /** How often a message is tried before it is given up. Default: 8. */
  readonly attempts?: number
  /** The longest wait after the first failure; it doubles with each. The wait itself is random below that. Default: 1,000. */
  readonly firstMs?: number
  /** The longest wait of all. Default: 300,000. */
  readonly maxMs?: number
  /** True for errors that no repetition would change. A `PermanentError`, and a message that cannot be understood, are permanent in any case. */
  readonly isPermanent?: (error: unknown) => boolean
}

/** What it does, checked and with every default in its place. */
export interface TransformPlan {
  readonly group: string
  readonly source: string
  readonly from: Topic
  readonly to: readonly Topic[]
  readonly on: EventMap
  readonly emits: ReadonlySet<string>
  readonly timeoutMs: number
  readonly retry: Required<TransformRetry>
  stream(output: NewEvent, input: RecordedEvent): string
  transform(event: RecordedEvent, context: TransformContext): unknown
}

const noRecords: readonly TopicRecord[] = []
const permanentErrors = [
  InvalidMessageError,
  InvalidCloudEventError,
  InvalidDefinitionError,
  UnreadableMessageError,
  UnknownEventError,
  MessageTooLargeError,
]

/** Makes of each message the records that are to be written for it: outputs, a dead letter, or none. */
export class Transformer {
  readonly #plan: TransformPlan
  readonly #environment: Environment
  readonly #labels: { readonly processor: string }
  readonly #unknownTypes = new Set<string>()

  constructor(plan: TransformPlan, environment: Environment) {
    this.#plan = plan
    this.#environment = environment
    this.#labels = { processor: `transform:${plan.group}` }
  }

  /**
   * At once where the transform answers at once. Rejects only when `signal` was aborted before the message was finished.
   * @param limits Of the topics that are written to: bytes of one message.
   */
  transform(
    message: ReceivedMessage,
    limits: ReadonlyMap<string, number>,
    signal: AbortSignal,
  ): readonly TopicRecord[] | Promise<readonly TopicRecord[]> {
    let event: RecordedEvent | undefined
    try {
      event = this.#decode(message)
    } catch (error) {
      return this.#giveUp(message, error)
    }
    if (!event) return noRecords
    try {
      const returned = this.#call(event, 1, signal)
      if (!(returned instanceof Promise)) return this.#encode(returned, event, limits)
      return this.#finish(message, event, returned, limits, signal)
    } catch (error) {
      return this.#finish(message, event, Promise.reject(error), limits, signal)
    }
  }

  async #finish(
    message: ReceivedMessage,
    event: RecordedEvent,
    first: PromiseLike<unknown>,
    limits: ReadonlyMap<string, number>,
    signal: AbortSignal,
  ): Promise<readonly TopicRecord[]> {
    const { clock, random, metrics, log } = this.#environment
    const { retry } = this.#plan
    let pending = first
    for (let attempt = 1; ;) {
      try {
        return this.#encode(await pending, event, limits)
      } catch (error) {
        // An attempt that was told to end says nothing about the message.
        signal.throwIfAborted()
        if (attempt >= retry.attempts || isPermanent(error, retry)) return this.#giveUp(message, error)
        metrics.count('headwater_handler_retries_total', 1, this.#labels)
        const { topic, partition, offset } = message
        log('debug', 'a message could not be transformed and is tried again', {
          group: this.#plan.group,
          topic,
          partition,
          offset,
          attempt,
          error: describeError(error),
        })
        await clock.sleep(backoffMs(attempt - 1, retry, random), signal)
        signal.throwIfAborted()
        attempt++
        pending = this.#attempt(event, attempt, signal)
      }
    }
  }

  async #attempt(event: RecordedEvent, attempt: number, signal: AbortSignal): Promise<unknown> {
    return this.#call(event, attempt, signal)
  }

  #call(event: RecordedEvent, attempt: number, revoked: AbortSignal): unknown {
    const { correlationId, id } = event
    const { group, timeoutMs, transform } = this.#plan
    const parts = { group, timeoutMs, environment: this.#environment, revoked }
    return new TransformAttempt(attempt, parts).run((context) => onBehalfOf({ correlationId, causationId: id }, transform, event, context))
  }

  /** Undefined when it is not for this transform. */
  #decode(message: ReceivedMessage): RecordedEvent | undefined {
    const { from, on, group } = this.#plan
    const event = decodeMessage(message, (message.offset ?? 0) + 1, from)
    const definition = Object.hasOwn(from.events, event.type) ? from.events[event.type] : undefined
    if (!definition) this.#noteUnknown(event.type)
    if (!Object.hasOwn(on, event.type)) return undefined
    if (event.schemaVersion !== definition?.schemaVersion) return decodeEvent(on, event, `the transform ${group}`)
    const data: unknown = validate(definition.schema, event.data, `${event.type} from ${from.name}`)
    return data === event.data ? event : { ...event, data }
  }

  #encode(returned: unknown, input: RecordedEvent, limits: ReadonlyMap<string, number>): readonly TopicRecord[] {
    if (returned === undefined || returned === null) return noRecords
    const outputs = (Array.isArray(returned) ? returned : [returned]) as readonly NewEvent[]
    return outputs.flatMap((output, index) => {
      const event = this.#recorded(output, index, input)
      return this.#plan.to
        .filter((topic) => Object.hasOwn(topic.events, event.type) && topic.includes(event))
        .map((topic) => {
          const record = toRecord(encodeMessage(event, topic))
          const limit = limits.get(topic.name) ?? Infinity
          const bytes = record.bytes + batchOverhead
          if (bytes > limit)
            throw new MessageTooLargeError(event.id, bytes, { name: `max.message.bytes of the topic ${topic.name}`, bytes: limit })
          return { ...record, topic: topic.name, partition: undefined }
        })
    })
  }

  /** The same id at every attempt, so that who consumes both an output and its repetition by another deployment recognises it. */
  #recorded(output: NewEvent, index: number, input: RecordedEvent): RecordedEvent {
    const { group, source, emits } = this.#plan
    if (!emits.has(output.type))
      throw new InvalidDefinitionError(`the transform ${group} returns ${output.type}, which is not among its \`emits\``)
    return {
      type: output.type,
      data: output.data,
      id: output.id ?? uuidFrom(group, input.source, input.id, 'event', String(index)),
      source: output.source ?? source,
      schemaVersion: output.schemaVersion ?? 1,
      stream: this.#plan.stream(output, input),
      version: 0,
      position: input.position,
      time: output.time ?? new Date(this.#environment.clock.now()),
      correlationId: output.correlationId ?? input.correlationId,
      causationId: output.causationId ?? input.id,
      metadata: output.metadata ?? {},
      tags: output.tags ?? [],
    }
  }

  #giveUp(message: ReceivedMessage, error: unknown): readonly TopicRecord[] {
    const { metrics, log } = this.#environment
    const { group } = this.#plan
    const { topic, partition, offset } = message
    metrics.count('headwater_messages_dead_total', 1, this.#labels)
    log('error', 'a message was given up and goes to the topic of dead letters', {
      group,
      topic,
      partition,
      offset,
      error: describeError(error),
    })
    return [toDeadLetter(message, group, error)]
  }

  #noteUnknown(type: string): void {
    const { metrics, log } = this.#environment
    const topic = this.#plan.from.name
    metrics.count('headwater_messages_unknown_total', 1, { topic, type })
    if (this.#unknownTypes.has(type)) return
    this.#unknownTypes.add(type)
    log('warn', 'a topic has messages of a type that this program does not know', { topic, type })
  }
}

/** `PermanentError` is known by its code, since it belongs to a layer above this one. */
function isPermanent(error: unknown, retry: Required<TransformRetry>): boolean {
  if (permanentErrors.some((kind) => error instanceof kind)) return true
  return (error instanceof HeadwaterError && error.code === 'permanent') || retry.isPermanent(error)
}
