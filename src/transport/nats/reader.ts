import type { ConsumerInfo } from '@nats-io/jetstream'
import type { Msg } from '@nats-io/transport-node'
import { describeError } from '../../observability/log.ts'
import type { Environment } from '../../observability/environment.ts'
import { backoffMs } from '../../storage/backoff.ts'
import { TransportClosedError } from '../errors.ts'
import type { Partition, ReceivedMessage, SubscriptionOptions } from '../port.ts'
import type { Client } from './client.ts'
import { findGroup, restoreGroup } from './group.ts'
import { GivenUp } from './given-up.ts'
import type { Held } from './holdings.ts'
import { Holdings } from './holdings.ts'
import { escapeName } from './names.ts'
import { findPostponed, maxDelayMs, Postponed } from './postponed.ts'
import { Puller } from './puller.ts'
import { Replies } from './replies.ts'
import { succeed } from './succession.ts'

/** How long whoever leaves waits for the server. */
const leavingMs = 2_000
const retrying = { firstMs: 50, maxMs: 2_000 }

/**
 * What one process consumes of a group, over all its connections. Messages come in the order of the stream, also after a connection was lost or another process
 * has died: see `succeed`.
 */
export class Reader implements Partition {
  readonly topic: string
  readonly number = undefined
  readonly revoked: AbortSignal
  readonly #client: Client
  readonly #environment: Environment
  readonly #options: SubscriptionOptions
  readonly #labels: Readonly<Record<string, string>>
  readonly #holdings: Holdings
  readonly #replies: Replies
  readonly #postponed = new Postponed()
  readonly #givenUp: GivenUp
  /** No more is asked for. */
  readonly #stopping = new AbortController()
  /** Nothing is held any more. */
  readonly #ended = new AbortController()
  #ackWaitMs: number
  /** The group has finished everything up to here, when it was last asked. */
  #floor: number
  #puller: Puller | undefined
  #isFlowing = false
  #isTooSmall = false
  #isConnected = true
  #refusals = 0
  #stopped: Promise<void> | undefined
  #wake: () => void = () => undefined

  constructor(client: Client, environment: Environment, options: SubscriptionOptions, info: ConsumerInfo, revoked: AbortSignal) {
    this.#client = client
    this.#environment = environment
    this.#options = options
    this.topic = options.topic
    this.revoked = revoked
    this.#labels = { transport: 'nats', topic: options.topic, group: options.group }
    this.#holdings = new Holdings(options.topic)
    this.#replies = new Replies(client.connection)
    this.#ackWaitMs = info.config.ack_wait! / 1e6
    this.#floor = info.ack_floor.stream_seq
    revoked.addEventListener('abort', () => this.#wake(), { once: true })
    const [{ topic, group }, holdings, arrived] = [options, this.#holdings, (): void => this.#wake()]
    this.#givenUp = new GivenUp({ client, environment, topic, group, holdings, arrived })
    void this.#open()
    void this.#keepAlive()
  }

  async *read(): AsyncGenerator<readonly ReceivedMessage[], void, undefined> {
    while (!this.revoked.aborted) {
      if (!this.#holdings.hasUnread) {
        await new Promise<void>((resolve) => (this.#wake = resolve))
        continue
      }
      const batch = this.#holdings.take()
      this.#environment.metrics.count('headwater_transport_received_total', batch.length, this.#labels)
      this.#reportHeld()
      yield batch
    }
  }

  async acknowledge(messages: readonly ReceivedMessage[]): Promise<void> {
    const finished = this.#holdings.finish(messages)
    if (finished.length === 0) return
    this.#givenUp.finished(finished)
    const told = this.#replies.acknowledge(finished)
    this.#reportHeld()
    this.#pull()
    await told
  }

  /** Whoever reads on gets them again, before anything newer; when nobody here does, the server gives them to somebody else. */
  async release(messages: readonly ReceivedMessage[]): Promise<void> {
    if (this.revoked.aborted) {
      await this.stopPulling()
      this.#giveBack(this.#holdings.giveBack(messages))
    } else {
      this.#holdings.putBack(messages)
      this.#wake()
    }
  }

  /** For another `run`: whatever the last one had and did not finish is given once more. */
  restart(): void {
    this.#holdings.putAllBack()
  }

  disconnected(): void {
    this.#isConnected = false
    this.#isFlowing = false
    this.#puller?.discard()
    this.#puller = undefined
  }

  reconnected(): void {
    this.#isConnected = true
    void this.#open()
  }

  /** Asks for nothing more, and resolves when nothing more comes. */
  stopPulling(): Promise<void> {
    return (this.#stopped ??= this.#briefly(this.#stopPulling()))
  }

  /** Gives back, in order, all that is not finished. */
  async surrender(): Promise<void> {
    this.#ended.abort()
    this.#giveBack(this.#holdings.surrender())
    this.#reportHeld()
    if (this.#isConnected && !this.#client.connection.isClosed()) await this.#briefly(this.#client.connection.flush())
  }

  #giveBack(held: readonly Held[]): void {
    this.#replies.giveBack(held)
    this.#givenUp.left(held)
  }

  async #stopPulling(): Promise<void> {
    this.#isFlowing = false
    const puller = this.#puller
    this.#puller = undefined
    this.#stopping.abort()
    this.#givenUp.stop()
    await puller?.end()
    if (!this.#isConnected) return
    // A server of 2.9 loses a message that is given back while it still has requests of somebody who has left. Asked about the group it clears them away.
    await findGroup(this.#client, this.topic, this.#options.group)
  }

  /** Who leaves does not wait for a server that does not answer: it notices by itself. */
  async #briefly(work: Promise<unknown>): Promise<void> {
    const timer = new AbortController()
    await Promise.race([work.catch(() => undefined), this.#environment.clock.sleep(leavingMs, timer.signal)])
    timer.abort()
  }

  /** Begins to pull over a new connection, or anew, once it is sure that nothing older is still to come. */
  async #open(): Promise<void> {
    const { clock, random, log } = this.#environment
    for (let attempt = 0; ; attempt++) {
      this.#isFlowing = false
      const before = this.#puller
      this.#puller = undefined
      // What is on its way still comes.
      await before?.end()
      if (this.#puller || this.#stopping.signal.aborted || !this.#isConnected || this.#client.connection.isClosed()) return
      const puller = (this.#puller = this.#newPuller())
      const isCurrent = (): boolean => this.#puller === puller && !this.#stopping.signal.aborted
      try {
        await this.#replies.repeat()
        const [client, { topic, group }] = [this.#client, this.#options]
        const info = await findGroup(client, topic, group)
        if (!info) {
          log('error', 'the group was removed while it was consumed from, and is made anew', { topic, group })
          this.#postponed.clear()
          await restoreGroup(client, topic, group, this.#floor, this.#ackWaitMs)
        } else {
          this.#floor = info.ack_floor.stream_seq
          this.#ackWaitMs = info.config.ack_wait! / 1e6
          const [holdings, ackWaitMs, { signal }] = [this.#holdings, this.#ackWaitMs, this.#stopping]
          await this.#lookForPostponed(info)
          const tooNew = (): number => holdings.gatedCount - holdings.gatedUpTo(info.delivered.stream_seq)
          const room = (): number => this.#options.maxMessages - holdings.count + tooNew()
          const postponed = (): number => this.#postponed.count(clock.now())
          const ask = (): Promise<ConsumerInfo | undefined> => findGroup(client, topic, group)
          const passedOn = (): void => this.#wake()
          await succeed({ holdings, puller, info, postponed, ask, room, passedOn, ackWaitMs, clock, signal, isCurrent })
        }
        if (!isCurrent()) return
        this.#isFlowing = true
        this.#isTooSmall = false
        this.#wake()
        this.#pull()
        return
      } catch (error) {
        if (!isCurrent() || error instanceof TransportClosedError) return
        log('warn', 'NATS does not let this process consume, which tries again', { ...this.#labels, error: describeError(error) })
        await clock.sleep(backoffMs(attempt, retrying, random), this.#stopping.signal)
        if (!isCurrent()) return
      }
    }
  }

  /** Only what is not put off has to be waited for. Who does not find out waits for both. */
  async #lookForPostponed(info: ConsumerInfo): Promise<void> {
    const { clock, log } = this.#environment
    if (info.num_ack_pending <= this.#holdings.count + this.#postponed.count(clock.now())) return
    try {
      await findPostponed(this.#client, this.topic, info, this.#postponed, clock)
    } catch (error) {
      log('debug', 'which messages are for later is not known', { ...this.#labels, error: describeError(error) })
    }
  }

  #newPuller(): Puller {
    const { topic, group } = this.#options
    const events = {
      message: (message: Msg) => this.#arrive(message),
      changed: () => this.#pull(),
      refused: (code: number, description: string) => this.#refused(code, description),
    }
    return new Puller(this.#client, escapeName(topic), escapeName(group), events, () => this.#environment.clock.now())
  }

  #arrive(message: Msg): void {
    this.#refusals = 0
    const nowMs = this.#environment.clock.now()
    const reply = message.reply ?? ''
    const arrived = this.#holdings.arrive(message, nowMs)
    if (typeof arrived === 'object') {
      this.#postponed.note(arrived.sequence, arrived.dueMs)
      this.#replies.postpone(reply, Math.min(arrived.dueMs - nowMs, maxDelayMs))
    } else if (arrived === 'finished') this.#replies.acknowledgeAgain(reply)
    else if (this.#isFlowing) this.#wake()
  }

  /** Two requests of half the room each: while one is served, the other waits at the server. */
  #pull(): void {
    const puller = this.#puller
    if (!this.#isFlowing || !puller || this.revoked.aborted) return
    const { maxMessages, maxBytes } = this.#options
    const outstanding = puller.outstanding
    const half = Math.ceil(maxMessages / 2)
    const room = Math.min(maxMessages - this.#holdings.count - outstanding, half)
    if (room < 1 || (outstanding > 0 && room < half / 2)) return
    const bytes = Math.min(maxBytes - this.#holdings.bytes - puller.outstandingBytes, Math.ceil(maxBytes / 2))
    if (this.#isTooSmall) {
      // The next message does not fit into what is left: it comes alone, when there is nothing else.
      if (this.#holdings.count > 0 || outstanding > 0) return
      this.#isTooSmall = false
      puller.request(1)
    } else if (bytes >= maxBytes / 8) puller.request(room, bytes)
    else if (this.#holdings.count === 0 && outstanding === 0) puller.request(1)
  }

  #refused(code: number, description: string): void {
    if (code === 409 && description === 'batch completed') return
    if (code === 409 && description.includes('exceeds maxbytes')) {
      this.#isTooSmall = true
      return
    }
    const isGone = code === 503 || description.includes('deleted')
    this.#environment.log(isGone ? 'warn' : 'debug', 'NATS ends a request for messages', { ...this.#labels, code, description })
    // A new leader, a server that shuts down, a group that was removed: begin anew, after a pause.
    this.#isFlowing = false
    void this.#openLater()
  }

  async #openLater(): Promise<void> {
    const puller = this.#puller
    const { clock, random } = this.#environment
    await clock.sleep(backoffMs(this.#refusals++, retrying, random), this.#stopping.signal)
    if (this.#puller === puller) await this.#open()
  }

  /** Tells the server, three times as often as it needs, that what is held is being worked on. */
  async #keepAlive(): Promise<void> {
    const { clock } = this.#environment
    let toldMs = clock.now()
    const { signal } = this.#ended
    for (;;) {
      await clock.sleep(Math.min(this.#ackWaitMs / 3, 1_000), signal)
      if (signal.aborted) return
      this.#puller?.expire()
      if (this.#isFlowing && this.#puller?.isSilent) {
        this.#environment.log('warn', 'NATS is silent on a request for messages, which is made anew', this.#labels)
        void this.#open()
      } else this.#pull()
      if (clock.now() - toldMs < this.#ackWaitMs / 3 || !this.#isConnected) continue
      toldMs = clock.now()
      this.#replies.keep(this.#holdings.all())
    }
  }

  #reportHeld(): void {
    this.#environment.metrics.gauge('headwater_transport_held', this.#holdings.count, this.#labels)
  }
}
