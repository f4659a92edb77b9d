import type { Environment } from '../../observability/environment.ts'
import type { ReceivedMessage, Subscription, SubscriptionOptions } from '../port.ts'
import { Finisher } from './finisher.ts'
import type { GroupQueue } from './group-queue.ts'
import type { Held } from './held.ts'
import { HeldMessages } from './held.ts'
import { Keeper } from './keeper.ts'
import { SqsPartition } from './partition.ts'
import { Receiver } from './receiver.ts'
import { pause } from './retry.ts'
import type { SqsSettings } from './settings.ts'

/** One process's part in a group: its queue is one partition, which many can have at once. */
export class SqsSubscription implements Subscription {
  readonly #options: SubscriptionOptions
  readonly #queue: GroupQueue
  readonly #environment: Environment
  readonly #labels: Readonly<Record<string, string>>
  readonly #messages = new HeldMessages()
  readonly #receiver: Receiver
  readonly #finisher: Finisher
  readonly #keeper: Keeper
  /** What SQS is being told about messages that were finished or given back. */
  readonly #telling = new Set<Promise<void>>()
  readonly #closing = new AbortController()
  #partition: SqsPartition
  readonly #running: Promise<void>
  #closed: Promise<void> | undefined

  constructor(options: SubscriptionOptions, queue: GroupQueue, settings: SqsSettings, environment: Environment) {
    this.#options = options
    this.#queue = queue
    this.#environment = environment
    this.#labels = { transport: 'sqs', topic: options.topic, group: options.group }
    const taker = { take: (batch: readonly Held[]) => this.#take(batch), countUnread: () => this.#partition.unread }
    this.#receiver = new Receiver(options.topic, queue, this.#messages, options, settings, environment, taker)
    this.#finisher = new Finisher(queue, this.#messages, environment)
    this.#keeper = new Keeper(queue, this.#messages, environment, settings.visibilityTimeoutSec, (held) => this.#lose(held))
    this.#partition = this.#newPartition()
    this.#receiver.fill()
    void this.#keeper.run()
    this.#running = this.#run()
  }

  close(): Promise<void> {
    return (this.#closed ??= this.#close())
  }

  async #close(): Promise<void> {
    this.#closing.abort()
    this.#partition.revoke()
    const { clock, log } = this.#environment
    const inTime = new AbortController()
    const isOver = this.#running.then(() => true)
    const timeout = clock.sleep(this.#options.releaseTimeoutMs, inTime.signal).then(() => false)
    const [ended] = await Promise.all([Promise.race([isOver, timeout]), this.#receiver.stop()])
    inTime.abort()
    if (!ended) log('warn', 'a consumer did not end in time; what it holds is given to others', this.#labels)
    await this.#releaseAll()
    this.#finisher.stopTrying()
    await Promise.all(this.#telling)
    this.#keeper.stop()
  }

  /** Calls `run`, again when it rejects or when its messages were taken away, until the subscription is closed or `run` has had enough. */
  async #run(): Promise<void> {
    for (let failures = 0; !this.#closing.signal.aborted;) {
      const partition = this.#partition
      const beganMs = this.#environment.clock.now()
      const failure = await this.#runOnce(partition)
      if (!failure && !partition.revoked.aborted) return void this.close()
      partition.revoke()
      if (this.#closing.signal.aborted) return
      // What comes from now on is for the next call; what this one held has to come again.
      this.#partition = this.#newPartition()
      void this.#track(this.#releaseAll())
      if (!failure) continue
      failures = this.#environment.clock.now() - beganMs > 60_000 ? 0 : failures + 1
      this.#environment.log('warn', 'a consumer failed and is called again', { ...this.#labels, error: failure.error })
      await pause(failures, this.#environment, this.#closing.signal)
    }
  }

  async #runOnce(partition: SqsPartition): Promise<{ readonly error: unknown } | undefined> {
    try {
      await this.#options.run(partition)
      return undefined
    } catch (error) {
      return { error }
    }
  }

  #newPartition(): SqsPartition {
    return new SqsPartition(this.#options.topic, this.#options.maxBytes, {
      refill: () => this.#receiver.fill(),
      finish: (messages) => this.#finish(messages),
      release: (messages) => this.#release(messages),
    })
  }

  #take(batch: readonly Held[]): void {
    this.#environment.metrics.count('headwater_transport_received_total', batch.length, this.#labels)
    this.#noteHeld()
    this.#partition.deliver(batch)
  }

  async #finish(messages: readonly ReceivedMessage[]): Promise<void> {
    const finishing = this.#track(this.#finisher.finish(this.#messages.take(messages)))
    this.#noteHeld()
    this.#receiver.fill()
    await finishing
  }

  /** Closing waits for it. */
  async #track(telling: Promise<void>): Promise<void> {
    this.#telling.add(telling)
    await telling
    this.#telling.delete(telling)
  }

  async #release(messages: Iterable<ReceivedMessage>): Promise<void> {
    await this.#show(this.#messages.take(messages))
  }

  async #releaseAll(): Promise<void> {
    await this.#show(this.#messages.takeAll())
  }

  async #show(held: readonly Held[]): Promise<void> {
    if (held.length === 0) return
    this.#noteHeld()
    // What is hidden no longer needs not be shown.
    const nowMs = this.#environment.clock.now()
    await this.#queue.show(held.filter(({ hiddenUntilMs }) => hiddenUntilMs > nowMs))
    this.#receiver.fill()
  }

  /** Somebody else may have been given it: whatever this process still does with its key is done twice at best, and in the wrong order at worst. */
  #lose({ message }: Held): void {
    if (this.#partition.revoked.aborted) return
    this.#environment.log('warn', 'a message was held for longer than SQS keeps it hidden; its consumer is called anew', {
      ...this.#labels,
      messageId: message.id,
    })
    this.#partition.revoke()
  }

  #noteHeld(): void {
    this.#environment.metrics.gauge('headwater_transport_held', this.#messages.count, this.#labels)
  }
}
