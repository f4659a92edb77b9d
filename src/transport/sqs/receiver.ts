import type { Message } from '@aws-sdk/client-sqs'
import { randomUUID } from 'node:crypto'
import type { Environment } from '../../observability/environment.ts'
import { decode } from './decode.ts'
import { dueMsOf } from './delay.ts'
import type { Early, GroupQueue } from './group-queue.ts'
import type { Held, HeldMessages } from './held.ts'
import { pause } from './retry.ts'
import type { SqsSettings } from './settings.ts'
import { maxEntries } from './wire.ts'

/** Long polls at the same time. While nothing comes it is one, since each of them costs. */
const maxPolls = 10

/** Messages that wait to be read. Each of them has to be kept hidden, which is wasted on more than the next moment's work. */
const maxUnread = maxPolls * maxEntries

export interface Limits {
  readonly maxMessages: number
  readonly maxBytes: number
}

/** Who is given what has come. */
export interface Taker {
  take(batch: readonly Held[]): void
  /** How many of the messages that were taken have not been read. */
  countUnread(): number
}

/** Asks for messages, as many requests at once as there is something to get, and never for more than there is room for. */
export class Receiver {
  readonly #topic: string
  readonly #queue: GroupQueue
  readonly #messages: HeldMessages
  readonly #limits: Limits
  readonly #settings: SqsSettings
  readonly #environment: Environment
  readonly #taker: Taker
  readonly #stopped = new AbortController()
  readonly #polls = new Set<Promise<void>>()
  /** Messages that were asked for and have not come. */
  #asked = 0
  #wantedPolls = 1
  #failures = 0
  /** Of a message, lately: SQS cannot be told how many bytes may come. */
  #averageBytes = 0

  constructor(
    topic: string,
    queue: GroupQueue,
    messages: HeldMessages,
    limits: Limits,
    settings: SqsSettings,
    environment: Environment,
    taker: Taker,
  ) {
    this.#topic = topic
    this.#queue = queue
    this.#messages = messages
    this.#limits = limits
    this.#settings = settings
    this.#environment = environment
    this.#taker = taker
  }

  /** Asks for as much as there is room for: at the start, and whenever messages were finished. */
  fill(): void {
    while (!this.#stopped.signal.aborted && this.#polls.size < this.#wantedPolls) {
      const count = Math.min(this.#room(), maxEntries)
      if (count <= 0) return
      this.#asked += count
      const poll = this.#poll(count).finally(() => {
        this.#polls.delete(poll)
        this.fill()
      })
      this.#polls.add(poll)
    }
  }

  /**
   * Asks no more, and waits for what was asked for. A request that was given up instead would go on at the service, take messages and hide them from everybody: ElasticMQ and
   * fauxqs, tried, give what is sent next to the request whose connection was closed, and FIFO queues nothing more of its key. To ask once more with its `attempt`
   * helps only after it has ended, which is when it would have ended anyhow.
   */
  async stop(): Promise<void> {
    this.#stopped.abort()
    await Promise.all(this.#polls)
  }

  #room(): number {
    const unreadRoom = maxUnread - this.#taker.countUnread() - this.#asked
    const room = Math.min(unreadRoom, this.#limits.maxMessages - this.#messages.count - this.#asked)
    if (this.#averageBytes === 0) return room
    const bytes = this.#limits.maxBytes - this.#messages.bytes - this.#asked * this.#averageBytes
    const isIdle = this.#messages.count === 0 && this.#asked === 0
    return Math.min(room, Math.max(isIdle ? 1 : 0, Math.floor(bytes / this.#averageBytes)))
  }

  async #poll(count: number): Promise<void> {
    try {
      const messages = await this.#receive(count)
      this.#asked -= count
      const nowMs = this.#environment.clock.now()
      const due = messages.filter((message) => dueMsOf(message) <= nowMs)
      if (due.length > 0) this.#taker.take(this.#hold(due))
      this.#wantedPolls = messages.length > 0 ? Math.min(this.#wantedPolls + 1, maxPolls) : 1
      if (due.length < messages.length) await this.#queue.hide(messages.flatMap((message) => earlyOf(message, nowMs)))
    } catch {
      this.#asked -= count
    }
  }

  async #receive(count: number): Promise<readonly Message[]> {
    const attempt = randomUUID()
    for (;;) {
      try {
        const messages = await this.#queue.receive(count, this.#settings.waitTimeSec, attempt)
        this.#failures = 0
        return messages
      } catch (error) {
        if (this.#stopped.signal.aborted) throw error
        if (this.#failures++ === 3)
          this.#environment.log('warn', 'receiving from SQS fails and is tried again', { queue: this.#queue.url, error })
        this.#wantedPolls = 1
        await pause(this.#failures, this.#environment, this.#stopped.signal)
        if (this.#stopped.signal.aborted) throw error
      }
    }
  }

  #hold(messages: readonly Message[]): readonly Held[] {
    const hiddenUntilMs = this.#environment.clock.now() + this.#settings.visibilityTimeoutSec * 1_000
    const batch = messages.map((received): Held => {
      const message = decode(received, this.#topic)
      return { message, receiptHandle: received.ReceiptHandle ?? '', bytes: message.body.byteLength, hiddenUntilMs }
    })
    for (const held of batch) this.#messages.add(held)
    const bytes = batch.reduce((sum, held) => sum + held.bytes, 0) / batch.length
    this.#averageBytes = Math.max(1, this.#averageBytes === 0 ? bytes : (this.#averageBytes + bytes) / 2)
    return batch
  }
}

function earlyOf(message: Message, nowMs: number): readonly Early[] {
  const hiddenMs = dueMsOf(message) - nowMs
  return hiddenMs > 0 ? [{ receiptHandle: message.ReceiptHandle ?? '', hiddenMs }] : []
}
