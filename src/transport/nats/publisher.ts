import type { StreamConfig } from '@nats-io/jetstream'
import type { Msg, NatsConnection } from '@nats-io/transport-node'
import type { Environment } from '../../observability/environment.ts'
import { backoffMs } from '../../storage/backoff.ts'
import {
  MessageTooLargeError,
  TransportClosedError,
  TransportUnavailableError,
  UnknownTopicError,
  UnsupportedByTransportError,
} from '../errors.ts'
import type { OutgoingMessage, PublishOutcome } from '../port.ts'
import type { Client } from './client.ts'
import { apiErrorCode, apiErrors } from './client.ts'
import type { Call, Pending, Topic } from './lanes.ts'
import { Lanes, prepare, report } from './lanes.ts'

/** A server drops what it cannot store fast enough (from 10,000 messages on, of all clients); fewer are on their way at any time. */
const maxInFlight = 2_048
const maxInFlightBytes = 16 * 1024 * 1024
const resending = { firstMs: 50, maxMs: 2_000 }
/** Without an answer for so long the message is sent again, although the connection seems to be there. */
const answerTimeoutMs = 5_000

/**
 * Publishes with one inbox for all answers. Messages of different keys are under way side by side, of one key one at a time. What is sent again has the same
 * id, and the server drops it when it has it: also what a lost connection left behind somewhere and delivers after all, behind what came later of its key.
 *
 * Only beyond `duplicateWindowMs` such a one is stored once more, and then consumers recognise it by its id. Headers of expectation would not keep it out: the server compares them
 * with the last message, id or sequence of the whole stream, to which all keys and publishers write at the same time, or of a subject, which stands for a type and not for a key.
 */
export class Publisher {
  readonly #client: Client
  readonly #environment: Environment
  readonly #timeoutMs: number
  readonly #lanes = new Lanes()
  readonly #inbox: string
  /** Waiting for room; those before `#sent` are gone already. */
  #ready: Pending[] = []
  #sent = 0
  /** Under way, by the number in their inbox. */
  readonly #inFlight = new Map<number, Pending>()
  /** Waiting for their next attempt. */
  readonly #resting = new Set<Pending>()
  /** Whether topics are unknown, for as long as the server is asked. */
  readonly #checks = new Map<Topic, Promise<boolean>>()
  #inFlightBytes = 0
  #lastNumber = 0
  #isConnected = true
  #problem: Error | undefined
  #isWatching = false
  #idle: (() => void)[] = []

  constructor(client: Client, environment: Environment, timeoutMs: number) {
    this.#client = client
    this.#environment = environment
    this.#timeoutMs = timeoutMs
    this.#inbox = `${client.createInbox()}.`
    client.connection.subscribe(`${this.#inbox}*`, {
      callback: (error, message) => (error ? this.noteProblem(error) : this.#answer(message)),
    })
  }

  publish(topicName: string, messages: readonly OutgoingMessage[]): Promise<readonly PublishOutcome[]> {
    if (messages.length === 0) return Promise.resolve([])
    const topic = this.#lanes.topic(topicName)
    const nowMs = this.#environment.clock.now()
    const deadlineMs = nowMs + this.#timeoutMs
    const { promise, resolve } = Promise.withResolvers<readonly PublishOutcome[]>()
    const call: Call = { outcomes: Array.from({ length: messages.length }), deadlineMs, left: messages.length, resolve }
    for (const [index, message] of messages.entries()) {
      try {
        const pending = prepare(topic, message, call, index, this.#client.maxPayloadBytes, nowMs)
        if (this.#lanes.enter(pending)) this.#ready.push(pending)
      } catch (error) {
        report(call, index, { ok: false, refused: true, error: error as Error })
      }
    }
    this.#send()
    void this.#watch()
    return promise
  }

  /** Nothing is sent while there is no connection: the client forgets what it was given meanwhile. */
  disconnected(): void {
    this.#isConnected = false
  }

  /** All that was under way is sent again. */
  reconnected(): void {
    this.#isConnected = true
    const lost = [...this.#inFlight.values(), ...this.#resting]
    this.#inFlight.clear()
    this.#resting.clear()
    this.#inFlightBytes = 0
    this.#setReady([...lost, ...this.#waiting()])
    this.#send()
  }

  /** What the server complained of, without saying of which message: perhaps a missing permission. */
  noteProblem(problem: Error): void {
    this.#problem = problem
  }

  /** Resolves when nothing is being sent. */
  async idle(): Promise<void> {
    if (this.#isIdle()) return
    await new Promise<void>((resolve) => this.#idle.push(resolve))
  }

  /** The connection is gone for good. */
  abandon(): void {
    for (const pending of [...this.#inFlight.values(), ...this.#resting, ...this.#waiting()])
      this.#lanes.fail(pending, new TransportClosedError('nats'))
    this.#setReady([])
    this.#inFlight.clear()
    this.#resting.clear()
    this.#announceIdle()
  }

  #send(): void {
    if (!this.#isConnected) return
    const { connection } = this.#client
    const nowMs = this.#environment.clock.now()
    for (; this.#sent < this.#ready.length; this.#sent++) {
      const pending = this.#ready[this.#sent]!
      if (this.#inFlight.size >= maxInFlight || (this.#inFlightBytes + pending.bytes > maxInFlightBytes && this.#inFlight.size > 0)) break
      const number = ++this.#lastNumber
      pending.waitsUntilMs = nowMs + answerTimeoutMs
      this.#inFlight.set(number, pending)
      this.#inFlightBytes += pending.bytes
      publishTo(connection, pending, `${this.#inbox}${number}`)
    }
    // To cut the list at each message would take as long as it is.
    if (this.#sent === this.#ready.length || (this.#sent > 1_000 && this.#sent > this.#ready.length / 2)) this.#setReady(this.#waiting())
  }

  #waiting(): Pending[] {
    return this.#ready.slice(this.#sent)
  }

  #setReady(ready: Pending[]): void {
    this.#ready = ready
    this.#sent = 0
  }

  #answer(message: Msg): void {
    const number = Number(message.subject.slice(this.#inbox.length))
    const pending = this.#inFlight.get(number)
    if (!pending) return // answered late: it was sent again, or given up
    this.#inFlight.delete(number)
    this.#inFlightBytes -= pending.bytes
    const text = message.string()
    this.#problem = undefined
    if (text.startsWith('{"stream":')) this.#done(pending, { ok: true })
    else this.#failedAttempt(pending, message, text)
    this.#send()
    this.#announceIdle()
  }

  #failedAttempt(pending: Pending, message: Msg, text: string): void {
    const { code, description } = readError(text)
    this.#rest(pending)
    // Nobody listens to the subject: the topic is not there, or JetStream is not, for the moment.
    if (message.headers?.code === 503) void this.#checkTopic(pending)
    else if (code === apiErrors.messageTooLarge || code === apiErrors.headerTooLarge || code === apiErrors.streamSealed)
      void this.#refuse(pending, code)
    else if (this.#problem?.message !== description) {
      // Once, not for each of thousands.
      this.noteProblem(new Error(description))
      this.#environment.log('warn', 'NATS does not store messages and is asked again', { topic: pending.topic.name, code, description })
    }
  }

  async #checkTopic(pending: Pending): Promise<void> {
    const { topic } = pending
    let check = this.#checks.get(topic)
    if (!check) {
      const { streams } = this.#client.manager
      check = streams.info(topic.stream).then(
        () => false,
        (error: unknown) => apiErrorCode(error) === apiErrors.streamNotFound,
      )
      this.#checks.set(topic, check)
      void check.finally(() => this.#checks.delete(topic))
    }
    const isUnknown = await check
    if (!isUnknown || !this.#resting.delete(pending)) return
    this.#lanes.fail(pending, new UnknownTopicError('nats', topic.name))
    this.#announceIdle()
  }

  /** What the topic does not take as it is, the server will not take at another time either. */
  async #refuse(pending: Pending, code: number): Promise<void> {
    pending.waitsUntilMs += answerTimeoutMs
    const config = await this.#client.manager.streams.info(pending.topic.stream).then(
      (info) => info.config,
      () => undefined,
    )
    if (!config || !this.#resting.delete(pending)) return
    this.#done(pending, { ok: false, refused: true, error: refusal(code, pending, config) })
    this.#send()
    this.#announceIdle()
  }

  #rest(pending: Pending): void {
    pending.waitsUntilMs = this.#environment.clock.now() + backoffMs(pending.attempts++, resending, this.#environment.random)
    this.#resting.add(pending)
  }

  /** Sends again what has waited long enough, and gives up what has waited too long, as long as there is anything. */
  async #watch(): Promise<void> {
    if (this.#isWatching) return
    this.#isWatching = true
    const { clock } = this.#environment
    const tickMs = Math.min(Math.max(this.#timeoutMs / 20, 10), 100)
    while (!this.#isIdle()) {
      await clock.sleep(tickMs)
      const nowMs = clock.now()
      for (const [number, pending] of this.#inFlight) {
        if (nowMs < pending.waitsUntilMs && nowMs < pending.call.deadlineMs) continue
        this.#inFlight.delete(number)
        this.#inFlightBytes -= pending.bytes
        if (nowMs < pending.call.deadlineMs) this.#rest(pending)
        else this.#giveUp(pending)
      }
      for (const pending of this.#resting) {
        if (nowMs < pending.waitsUntilMs && nowMs < pending.call.deadlineMs) continue
        this.#resting.delete(pending)
        if (nowMs < pending.call.deadlineMs) this.#ready.push(pending)
        else this.#giveUp(pending)
      }
      const waiting = this.#waiting()
      const late = waiting.filter(({ call }) => nowMs >= call.deadlineMs)
      if (late.length > 0) this.#setReady(waiting.filter(({ call }) => nowMs < call.deadlineMs))
      for (const pending of late) this.#giveUp(pending)
      this.#send()
      this.#announceIdle()
    }
    this.#isWatching = false
  }

  #giveUp(pending: Pending): void {
    const problem = this.#problem
    const text = `NATS has not confirmed the message ${pending.id} within ${this.#timeoutMs} ms`
    this.#lanes.fail(pending, new TransportUnavailableError(text, problem && { cause: problem }))
  }

  #done(pending: Pending, outcome: PublishOutcome): void {
    const next = this.#lanes.finish(pending, outcome)
    if (next) this.#ready.push(next)
  }

  #isIdle(): boolean {
    return this.#inFlight.size === 0 && this.#sent === this.#ready.length && this.#resting.size === 0
  }

  #announceIdle(): void {
    if (this.#idle.length === 0 || !this.#isIdle()) return
    for (const resolve of this.#idle) resolve()
    this.#idle = []
  }
}

function publishTo(connection: NatsConnection, { subject, body, headers }: Pending, reply: string): void {
  try {
    connection.publish(subject, body, { reply, headers })
  } catch {
    // The connection is being closed; whoever closes it sees to what is under way.
  }
}

function refusal(code: number, { id, bytes, topic }: Pending, config: StreamConfig): Error {
  if (code === apiErrors.streamSealed) return new UnsupportedByTransportError(`the topic ${topic.name} is sealed: it takes no messages`)
  const isHeader = code === apiErrors.headerTooLarge
  const limit = isHeader
    ? { bytes: 65_535, name: 'the limit of NATS for headers' }
    : { bytes: config.max_msg_size, name: "the topic's max_msg_size" }
  return new MessageTooLargeError(id, bytes, limit)
}

function readError(text: string): { readonly code?: number; readonly description: string } {
  try {
    const { error } = JSON.parse(text) as { error?: { err_code?: number; description?: string } }
    return { ...(error?.err_code !== undefined && { code: error.err_code }), description: error?.description ?? text }
  } catch {
    return { description: text === '' ? 'no responders' : text }
  }
}
