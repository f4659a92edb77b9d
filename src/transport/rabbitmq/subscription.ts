import { aborted } from '../../message/aborted.ts'
import type { Environment } from '../../observability/environment.ts'
import { describeError } from '../../observability/log.ts'
import { backoffMs } from '../../storage/backoff.ts'
import type { Subscription, SubscriptionOptions } from '../port.ts'
import { keepBodies, type Link } from './link.ts'
import { QueuePartition } from './partition.ts'
import { queueOf, type Topology } from './topology.ts'

const backoff = { firstMs: 100, maxMs: 5_000 }
/** What went well for so long does not count as another failure in a row when it ends. */
const stableMs = 10_000

/**
 * Consumes a group's queue: one channel after another, each with a partition of its own. A lost connection, a queue that was deleted and the broker's
 * consumer timeout all end the channel; what was not acknowledged goes back to the queue, in its order, and comes again.
 */
export class QueueSubscription implements Subscription {
  readonly queue: string
  readonly #link: Link
  readonly #topology: Topology
  readonly #options: SubscriptionOptions
  readonly #environment: Environment
  /** Of the connection; 0 where there are none. */
  readonly #heartbeatSec: number
  readonly #closing = new AbortController()
  #partition: QueuePartition | undefined
  /** The channel that is consumed now, until `run` has ended and the channel is closed. */
  #consuming: Promise<void> | undefined

  /** The group must be there. */
  constructor(link: Link, topology: Topology, options: SubscriptionOptions, heartbeatSec: number, environment: Environment) {
    this.queue = queueOf(options.topic, options.group)
    this.#link = link
    this.#topology = topology
    this.#options = options
    this.#heartbeatSec = heartbeatSec
    this.#environment = environment
    void this.#consume()
  }

  /** Messages that this process holds. */
  get held(): number {
    return this.#partition?.held ?? 0
  }

  async close(): Promise<void> {
    this.#closing.abort()
    await this.#consuming?.catch(() => undefined)
  }

  async #consume(): Promise<void> {
    const { clock, random } = this.#environment
    const { signal } = this.#closing
    for (let failures = 0, isFirst = true; !signal.aborted; isFirst = false) {
      const beganMs = clock.now()
      try {
        if (!isFirst) await this.#ensureGroup()
        const waiting = this.#options.isAlone ? await this.#untilVacant() : undefined
        this.#consuming = this.#consumeChannel(await this.#link.acquire(), waiting)
        await this.#consuming
      } catch (error) {
        if (!signal.aborted) this.#warn('consuming a group ended with an error and begins again', { error: describeError(error) })
      }
      failures = clock.now() - beganMs < stableMs ? failures + 1 : 1
      await clock.sleep(backoffMs(failures - 1, backoff, random), signal)
    }
  }

  async #ensureGroup(): Promise<void> {
    const { topic, group } = this.#options
    if (await this.#topology.ensureGroup(topic, group, { at: 'end' }))
      this.#warn('a group’s queue was gone and has been made again: what was in it is lost', { queue: this.queue })
  }

  /**
   * A consumer whose end the broker has not noticed, because its host died or a line broke silently, holds its messages until its heartbeats are missed. Who
   * begins sooner is given later messages before them. Resolves to how many messages wait then.
   */
  async #untilVacant(): Promise<number> {
    const { clock } = this.#environment
    const { signal } = this.#closing
    const deadlineMs = clock.now() + (this.#heartbeatSec > 0 ? 3_000 * this.#heartbeatSec : 30_000)
    for (let pauseMs = 10; ; pauseMs = Math.min(2 * pauseMs, 250)) {
      const { consumerCount = 0, messageCount = 0 } = (await this.#topology.lookAt(this.queue)) ?? {}
      if (consumerCount === 0 || signal.aborted) return messageCount
      if (clock.now() > deadlineMs) {
        this.#warn('somebody else consumes a queue: its order is not kept', { queue: this.queue })
        return 0
      }
      await clock.sleep(pauseMs, signal)
    }
  }

  /** Until the channel is gone, or the subscription is closed. Rejects with what `run` does. */
  async #consumeChannel(channel: Awaited<ReturnType<Link['acquire']>>, waiting: number | undefined): Promise<void> {
    const { signal } = this.#closing
    keepBodies(channel)
    const partition = new QueuePartition(
      channel,
      { ...this.#options, queue: this.queue, ...(waiting !== undefined && { waiting }) },
      this.#environment,
    )
    this.#partition = partition
    const revoke = (): void => partition.revoke()
    channel.once('close', revoke).once('basic.cancel', revoke)
    signal.addEventListener('abort', revoke, { once: true })
    if (signal.aborted || !channel.active) revoke()
    let hasFinished = false
    try {
      await this.#untilReleased(partition, this.#options.run(partition))
      hasFinished = !partition.revoked.aborted
    } finally {
      signal.removeEventListener('abort', revoke)
      revoke()
      // Gives back what was not acknowledged.
      await this.#link.release(channel)
    }
    // Who has finished unasked is not asked again.
    if (hasFinished) await aborted(signal)
  }

  /** Until `run` has ended, or has had its time to do so after the partition was taken away. */
  async #untilReleased(partition: QueuePartition, run: Promise<void>): Promise<void> {
    const ended = new AbortController()
    const late = aborted(partition.revoked)
      .then(() => this.#environment.clock.sleep(this.#options.releaseTimeoutMs, ended.signal))
      .then(
        () => ended.signal.aborted || this.#warn('the handling of a queue that was taken away goes on; nobody waits for it any longer', {}),
      )
    try {
      await Promise.race([run, late])
    } finally {
      ended.abort()
    }
  }

  #warn(message: string, fields: Readonly<Record<string, unknown>>): void {
    const { topic, group } = this.#options
    this.#environment.log('warn', message, { transport: 'rabbitmq', topic, group, ...fields })
  }
}
