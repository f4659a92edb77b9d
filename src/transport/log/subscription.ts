import { aborted } from '../../message/aborted.ts'
import { uuidv7 } from '../../message/id.ts'
import { describeError } from '../../observability/log.ts'
import { backoffMs } from '../../storage/backoff.ts'
import type { EventStore } from '../../storage/event-store.ts'
import type { Subscription, SubscriptionOptions } from '../port.ts'
import type { Held } from './membership.ts'
import { Membership } from './membership.ts'
import { LogPartition } from './partition.ts'
import type { WakeUp } from './wake-up.ts'

const backoff = { firstMs: 200, maxMs: 10_000 }

/** The lease for which the members of a group compete. */
export function processorOf(topic: string, group: string): string {
  return `transport:${topic}/${group}`
}

/** One member of a group: consumes the topic whenever it has the lease. */
export class LogSubscription implements Subscription {
  readonly #store: EventStore
  readonly #wakeUp: WakeUp
  readonly #options: SubscriptionOptions
  readonly #startAfter: number
  readonly #leaving = new AbortController()
  readonly #running: Promise<void>

  constructor(
    store: EventStore,
    wakeUp: WakeUp,
    options: SubscriptionOptions,
    start: { readonly after: number; readonly clientName: string; readonly leaseTtlMs: number },
  ) {
    this.#store = store
    this.#wakeUp = wakeUp
    this.#options = options
    this.#startAfter = start.after
    const membership = new Membership(store, {
      processor: processorOf(options.topic, options.group),
      owner: `${start.clientName}-${uuidv7()}`,
      ttlMs: start.leaseTtlMs,
    })
    this.#running = membership.run(this.#leaving.signal, (held) => this.#consume(held))
  }

  close(): Promise<void> {
    this.#leaving.abort()
    return this.#running
  }

  /** Ends when `run` has ended, or `releaseTimeoutMs` after it was told to; until then the lease is held, so that nobody else begins. */
  async #consume({ epoch, lost }: Held): Promise<void> {
    const { topic, group, maxMessages, maxBytes, releaseTimeoutMs } = this.#options
    const { clock } = this.#store.environment
    const revoked = AbortSignal.any([this.#leaving.signal, lost])
    const partition = new LogPartition(this.#store, this.#wakeUp, {
      topic,
      group,
      processor: processorOf(topic, group),
      epoch,
      revoked,
      startAfter: this.#startAfter,
      maxMessages,
      maxBytes,
    })
    const ended = new AbortController()
    const running = this.#keepRunning(partition).then(() => ended.abort())
    await aborted(revoked)
    await Promise.race([running, clock.sleep(releaseTimeoutMs, ended.signal)])
    await partition.saved()
  }

  async #keepRunning(partition: LogPartition): Promise<void> {
    const { topic, group } = this.#options
    const { clock, log, random } = this.#store.environment
    for (let failures = 0; !partition.revoked.aborted; failures++) {
      try {
        return await this.#options.run(partition)
      } catch (error) {
        log('warn', 'consuming failed and is tried again', { transport: 'log', topic, group, error: describeError(error) })
        await clock.sleep(backoffMs(failures, backoff, random), partition.revoked)
      }
    }
  }
}
