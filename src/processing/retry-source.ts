import type { Clock } from '../message/clock.ts'
import type { RecordedEvent } from '../message/event.ts'
import type { ReceivedMessage, TransportConnection } from '../transport/port.ts'
import type { Forwarded } from './forwarded-message.ts'
import { readForwarded } from './forwarded-message.ts'
import type { MessagePage, MessageSource } from './message-source.ts'
import { Onward } from './onward.ts'
import type { ProcessingContext } from './processor.ts'
import type { RetryStage } from './retry-topics.ts'
import type { TopicMessages } from './topic-messages.ts'

export interface RetrySourceParts {
  readonly stage: RetryStage
  readonly processor: string
  readonly group: string
  readonly connection: TransportConnection
  readonly context: ProcessingContext
  /** The messages of the stage's topic; `originalOf` says how they were before they came there. */
  readonly read: (originalOf: ((message: ReceivedMessage) => ReceivedMessage) | undefined) => TopicMessages
}

/** The messages of a topic, or of one of its retry topics, as the source of a handler: each is given when its time has come, and goes on to the next when it fails. */
export function retrySource({ stage, processor, group, connection, context, read }: RetrySourceParts): {
  readonly messages: TopicMessages
  readonly source: MessageSource
} {
  const { environment } = context.store
  const isFirst = stage.attempt === 1
  const known = new WeakMap<ReceivedMessage, Forwarded>()
  const forwardedOf = (message: ReceivedMessage): Forwarded => {
    const forwarded = known.get(message) ?? (isFirst ? { original: message, history: [], dueMs: undefined } : readForwarded(message))
    known.set(message, forwarded)
    return forwarded
  }
  const messages = read(isFirst ? undefined : (message) => forwardedOf(message).original)
  const dueMsOf = (event: RecordedEvent): number => {
    const message = messages.receivedOf(event)
    return (message && forwardedOf(message).dueMs) ?? 0
  }
  const source: MessageSource = {
    remembers: messages.remembers,
    renumbers: messages.renumbers,
    ...(messages.sequenceOrder && { sequenceOrder: messages.sequenceOrder }),
    originOf: (event) => messages.originOf(event),
    find: () => messages.find(),
    finished: (events, through) => messages.finished(events, through),
    read: (after, signal) => {
      const pages = messages.read(after, signal)
      return isFirst ? pages : whenDue(pages, { dueMsOf, maxMs: stage.delayMs, clock: environment.clock, signal })
    },
    onward: new Onward({
      stage,
      processor,
      group,
      connection,
      environment,
      forwardedOf: (event) => forwardedOf(messages.receivedOf(event)!),
    }),
  }
  return { messages, source }
}

export interface DueOptions {
  readonly dueMsOf: (event: RecordedEvent) => number
  /** Nothing waits longer than this from when it came, whatever its due time says: clocks differ, and anybody may have written it. */
  readonly maxMs: number
  readonly clock: Clock
  readonly signal: AbortSignal
}

/**
 * Pages whose messages are due, in their order. All messages of a retry topic wait equally long, so that who waits for the first keeps nobody waiting behind
 * it; and one page waits here, the others where they come from.
 */
export async function* whenDue(
  pages: AsyncIterable<MessagePage>,
  { dueMsOf, maxMs, clock, signal }: DueOptions,
): AsyncIterable<MessagePage> {
  for await (const page of pages) {
    const latestMs = clock.now() + maxMs
    let rest = page
    for (;;) {
      const nowMs = clock.now()
      const waitMsOf = (event: RecordedEvent): number => Math.min(dueMsOf(event), latestMs) - nowMs
      const next = rest.events.findIndex((event) => waitMsOf(event) > 0)
      if (next < 0) break
      const waiting = rest.events[next]!
      if (next > 0) {
        const [due, later] = cutBefore(rest, waiting.position)
        yield due
        rest = later
      } else await clock.sleep(waitMsOf(waiting), signal)
      if (signal.aborted) return
    }
    yield rest
  }
}

function cutBefore(page: MessagePage, position: number): readonly [MessagePage, MessagePage] {
  const { events, problems = [] } = page
  const isBefore = (event: RecordedEvent): boolean => event.position < position
  return [
    {
      ...page,
      events: events.filter(isBefore),
      problems: problems.filter(({ event }) => isBefore(event)),
      through: position - 1,
    },
    {
      ...page,
      events: events.filter((event) => !isBefore(event)),
      problems: problems.filter(({ event }) => !isBefore(event)),
    },
  ]
}
