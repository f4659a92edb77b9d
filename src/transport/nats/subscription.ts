import type { Environment } from '../../observability/environment.ts'
import { describeError } from '../../observability/log.ts'
import { backoffMs } from '../../storage/backoff.ts'
import type { Subscription, SubscriptionOptions } from '../port.ts'
import type { Reader } from './reader.ts'

const restarting = { firstMs: 100, maxMs: 10_000 }

/** Runs what consumes, as long as it fails, and leaves in good order. */
export class NatsSubscription implements Subscription {
  readonly #reader: Reader
  readonly #environment: Environment
  readonly #options: SubscriptionOptions
  readonly #revocation: AbortController
  readonly #running: Promise<void>
  readonly #left: () => void
  #closing: Promise<void> | undefined

  constructor(reader: Reader, environment: Environment, options: SubscriptionOptions, revocation: AbortController, left: () => void) {
    this.#reader = reader
    this.#environment = environment
    this.#options = options
    this.#revocation = revocation
    this.#left = left
    this.#running = this.#run()
  }

  close(): Promise<void> {
    return (this.#closing ??= this.#close())
  }

  disconnected(): void {
    this.#reader.disconnected()
  }

  reconnected(): void {
    this.#reader.reconnected()
  }

  async #run(): Promise<void> {
    const { clock, random, log } = this.#environment
    const { topic, group } = this.#options
    const { signal } = this.#revocation
    for (let attempt = 0; !signal.aborted; attempt++) {
      try {
        await this.#options.run(this.#reader)
        break
      } catch (error) {
        log('error', 'consuming has failed and begins again', { transport: 'nats', topic, group, error: describeError(error) })
      }
      await clock.sleep(backoffMs(attempt, restarting, random), signal)
      this.#reader.restart()
    }
    // Whoever returns by himself wants no more: others shall get what he has left.
    await this.#reader.stopPulling()
    await this.#reader.surrender()
  }

  async #close(): Promise<void> {
    this.#revocation.abort()
    const { releaseTimeoutMs, topic, group } = this.#options
    const timer = new AbortController()
    const stopped = this.#reader.stopPulling()
    const isLate = await Promise.race([
      this.#running.then(() => false),
      this.#environment.clock.sleep(releaseTimeoutMs, timer.signal).then(() => true),
    ])
    timer.abort()
    await stopped
    if (isLate) {
      this.#environment.log('warn', 'what is being consumed is given to others before it was finished', {
        transport: 'nats',
        topic,
        group,
        releaseTimeoutMs,
      })
      await this.#reader.surrender()
    }
    this.#left()
  }
}
