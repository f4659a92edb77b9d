import { describeError } from '../../observability/log.ts'
import { backoffMs } from '../../storage/backoff.ts'
import type { Cluster } from './client/cluster.ts'
import { Fetcher } from './client/fetcher.ts'
import type { Library } from './client/library.ts'
import { Member } from './client/member.ts'
import { CommittedOffsets } from './committed-offsets.ts'
import { FetchPump } from './fetch-pump.ts'
import { HeldMessages } from './held-messages.ts'
import type { KafkaSubscriptionOptions, PartitionSource } from './partition.ts'
import { PartitionRuns } from './partition-runs.ts'
import type { Subscription } from '../port.ts'

/** The group waits a little longer than we do for `run`, so that it is not the one who gives up first. */
const rebalanceMarginMs = 5_000

/** Of looking whether the member is alive, twice a heartbeat. */
const looksBetweenCounts = 10

/**
 * Membership in a group for one topic. A member that the library gives up is replaced by a new one; one that cannot have been heard of by the
 * group gives its partitions up by itself, since others may have them.
 */
export class KafkaSubscription implements Subscription {
  readonly #library: Library
  readonly #options: KafkaSubscriptionOptions
  readonly #pump: FetchPump
  readonly #committed: CommittedOffsets
  readonly #runs: PartitionRuns
  readonly #ended = new AbortController()
  readonly #running: Promise<void>
  #member: Member | undefined
  #counting = false
  #closing: Promise<void> | undefined

  /** @param offsets Whether the group's offsets on the broker follow what is acknowledged, or are those of transactions, which nothing else may change. */
  constructor(
    library: Library,
    cluster: Cluster,
    options: KafkaSubscriptionOptions,
    offsets: 'as acknowledged' | 'in transactions' = 'as acknowledged',
  ) {
    const { topic, group } = options
    this.#library = library
    this.#options = options
    this.#pump = new FetchPump(library, new Fetcher(library, topic, group), topic)
    this.#committed = new CommittedOffsets(
      async (acknowledged) => (offsets === 'as acknowledged' ? this.#member?.commit(acknowledged) : undefined),
      (error) => this.#log('debug', 'an offset was not committed', error),
    )
    const source: PartitionSource = {
      library,
      cluster,
      options,
      pump: this.#pump,
      committed: this.#committed,
      held: new HeldMessages(library.environment.metrics, { transport: 'kafka', topic, group }),
      starts: new Map<number, number>(),
    }
    this.#runs = new PartitionRuns(source)
    this.#running = this.#takePart()
  }

  close(): Promise<void> {
    this.#closing ??= this.#close()
    return this.#closing
  }

  async #close(): Promise<void> {
    this.#ended.abort()
    // The group waits for runs only so long; who closes waits for them to the end.
    await Promise.all([this.#runs.close(), this.#running])
    await this.#pump.close()
  }

  async #takePart(): Promise<void> {
    const { clock, random } = this.#library.environment
    for (let attempt = 0; !this.#ended.signal.aborted; attempt++) {
      if (await this.#beMember()) attempt = 0
      await clock.sleep(backoffMs(attempt, { firstMs: 100, maxMs: 5_000 }, random), this.#ended.signal)
    }
  }

  /** Until the subscription is closed or the member is none any more. True when it was one at all. */
  async #beMember(): Promise<boolean> {
    const { topic, group, releaseTimeoutMs } = this.#options
    const { clock } = this.#library.environment
    const over = new AbortController()
    const end = (): void => over.abort()
    let joined = false
    const member = new Member(this.#library, {
      topic,
      group,
      rebalanceTimeoutMs: releaseTimeoutMs + rebalanceMarginMs,
      release: (kept) => this.#runs.release(kept, releaseTimeoutMs),
      assigned: (partitions) => {
        joined = true
        this.#log('info', `consuming partitions ${[...partitions].join(', ') || '(none)'}`)
        this.#runs.assign(partitions)
      },
      broken: (error) => {
        this.#log('warn', 'the membership in the group broke and is begun anew', error)
        end()
      },
    })
    this.#member = member
    this.#ended.signal.addEventListener('abort', end, { once: true })
    void this.#join(member, end)
    let wasAlive = false
    let looks = 0
    while (!over.signal.aborted) {
      const isAlive = member.isAlive()
      if (wasAlive && !isAlive) {
        this.#log('warn', 'the group may take this member for dead: its partitions are given up until it is heard of again')
        this.#runs.assign(new Set())
      } else if (!wasAlive && isAlive) this.#runs.assign(member.owned())
      wasAlive = isAlive
      // Not waited for: the next look must not come late.
      if (isAlive && ++looks % looksBetweenCounts === 0) void this.#joinForMorePartitions(member)
      await clock.sleep(this.#library.settings.heartbeatMs / 2, over.signal)
    }
    this.#ended.signal.removeEventListener('abort', end)
    await this.#runs.release(new Set(), releaseTimeoutMs)
    // The broker may be away, and these are only figures.
    await Promise.race([this.#committed.flush(), clock.sleep(1_000)])
    this.#member = undefined
    await member.close()
    return joined
  }

  async #joinForMorePartitions(member: Member): Promise<void> {
    if (this.#counting) return
    this.#counting = true
    try {
      const partitions = await this.#pump.partitions()
      if (partitions <= (member.partitions ?? 0)) return
      this.#log('info', `the topic has ${partitions} partitions now`)
      await member.rejoin()
    } catch (error) {
      this.#log('debug', 'it is not known whether the topic has got more partitions', error)
    } finally {
      this.#counting = false
    }
  }

  async #join(member: Member, end: () => void): Promise<void> {
    try {
      await member.join()
    } catch (error) {
      if (!this.#ended.signal.aborted) this.#log('warn', 'joining the group failed and is tried again', error)
      end()
    }
  }

  #log(level: 'debug' | 'info' | 'warn', message: string, error?: unknown): void {
    const { topic, group } = this.#options
    this.#library.environment.log(level, message, { topic, group, ...(error !== undefined && { error: describeError(error) }) })
  }
}
