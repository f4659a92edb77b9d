import type { Base, Connection, Consumer } from '@platformatic/kafka'
import { describeError } from '../../../observability/log.ts'
import { isKafkaError } from './errors.ts'
import { shareOut } from '../assignment.ts'
import type { Library } from './library.ts'

export interface MemberEvents {
  /** The group goes on when this is done: partitions that are not among these are somebody else's then. */
  release(kept: ReadonlySet<number>): Promise<void>
  /** These are the member's partitions now. */
  assigned(partitions: ReadonlySet<number>): void
  /** The library has given up; the member is none any more. */
  broken(error: unknown): void
}

export interface MemberOptions extends MemberEvents {
  readonly topic: string
  readonly group: string
  /** Until when the group waits for a member that has to give partitions back. */
  readonly rebalanceTimeoutMs: number
}

/** Of the consumer protocol: from this one on members say in which generation they got what they own. */
const subscriptionVersion = 3

/** Of the session's time-out; the rest is for runs to end before somebody else gets their partitions. */
const aliveShare = 0.7

/** A broker that does not answer finds out by itself, when the session is over. */
const leaveTimeoutMs = 3_000

/**
 * A member of a consumer group, with cooperative rebalancing: only partitions that change hands are given back. The library asks for something to send along
 * each time before it joins, and waits for the answer; that is where partitions are given back. It sends no heartbeats until it has joined, so that we do,
 * on a connection of our own: the broker answers nothing on one on which somebody waits to join.
 */
export class Member {
  readonly #library: Library
  readonly #options: MemberOptions
  readonly #consumer: Consumer
  readonly #line: Base
  /** Aborted when the member has joined. */
  #joining: AbortController | undefined
  #sentMs = 0
  #heardMs = 0
  #joined = false
  #partitions: number | undefined

  constructor(library: Library, options: MemberOptions) {
    this.#library = library
    this.#options = options
    const { kafka, settings, environment } = library
    const rebalanceTimeoutMs = Math.max(settings.sessionTimeoutMs, options.rebalanceTimeoutMs)
    this.#consumer = new kafka.Consumer({
      ...library.clientOptions(),
      groupId: options.group,
      // A broker that is away for an hour is waited for.
      retries: true,
      sessionTimeout: settings.sessionTimeoutMs,
      heartbeatInterval: settings.heartbeatMs,
      rebalanceTimeout: rebalanceTimeoutMs,
      // To join takes as long as the slowest member needs to give its partitions back.
      requestTimeout: rebalanceTimeoutMs + 5_000,
      protocols: [{ name: kafka.COOPERATIVE_STICKY_ASSIGNOR, version: subscriptionVersion }],
      protocolsMetadata: async (_protocols, _topics, { topics }) => {
        this.#partitions = topics.get(options.topic)?.partitionsCount
        this.#keepAlive()
        await options.release(this.owned())
        return Buffer.alloc(0)
      },
      partitionAssigner: (_leader, members, _topics, { topics }) => {
        const described = [...members].map(
          ([id, { topics: consumed = [], ownedPartitions: owned = [], generationId: generation = -1 }]) => ({
            id,
            topics: consumed,
            owned,
            generation,
          }),
        )
        const shares = shareOut(described, (topic) => topics.get(topic)?.partitionsCount ?? 0)
        return [...shares].map(([memberId, share]) => ({
          memberId,
          assignments: new Map(share.map(({ topic, partitions }) => [topic, { topic, partitions: [...partitions] }])),
        }))
      },
    })
    library.observe(this.#consumer)
    this.#line = new kafka.Base(library.clientOptions())
    library.observe(this.#line)
    this.#consumer.topics.track(options.topic)
    this.#consumer.on('consumer:group:join', () => {
      this.#joined = true
      this.#joining?.abort()
      this.#heardMs = environment.clock.now()
      options.assigned(this.owned())
    })
    this.#consumer.on('consumer:heartbeat:start', () => {
      this.#sentMs = environment.clock.now()
    })
    // The group's time runs from when it got the heartbeat, not from when we got the answer.
    this.#consumer.on('consumer:heartbeat:end', () => {
      this.#heardMs = this.#sentMs
    })
    this.#consumer.on('error', (error: unknown) => options.broken(error))
  }

  async join(): Promise<void> {
    await this.#consumer.joinGroup()
  }

  /** How many partitions the topic had when the group shared them out. */
  get partitions(): number | undefined {
    return this.#partitions
  }

  /** Has the group share them out anew. The library does not notice that a topic has got more. */
  async rejoin(): Promise<void> {
    await this.#consumer.joinGroup()
  }

  owned(): ReadonlySet<number> {
    return new Set(this.#consumer.assignments?.flatMap(({ topic, partitions }) => (topic === this.#options.topic ? partitions : [])))
  }

  /** False when the group may think that the member is dead, and have given its partitions to others. */
  isAlive(): boolean {
    return this.#joined && this.#library.environment.clock.now() - this.#heardMs < this.#library.settings.sessionTimeoutMs * aliveShare
  }

  /**
   * The library's own commit is not used: when the group is rebalancing, it joins once more on its own account.
   * @param offsets Of the next message of each partition.
   */
  async commit(offsets: ReadonlyMap<number, number>): Promise<void> {
    const { memberId, generationId } = this.#consumer
    if (memberId === null) return
    const partitions = [...offsets].map(([partitionIndex, offset]) => ({
      partitionIndex,
      committedOffset: BigInt(offset),
      committedLeaderEpoch: -1,
      committedMetadata: null,
    }))
    const { topic, group } = this.#options
    const { offsetCommitV8 } = this.#library.kafka
    await offsetCommitV8.api.async(await this.#coordinator(), group, generationId, memberId, null, [{ name: topic, partitions }])
  }

  /** Leaves the group, if the broker can be told soon. */
  async close(): Promise<void> {
    const { clock } = this.#library.environment
    const left = new AbortController()
    // To close a consumer that has not left does not end its heartbeats.
    const leaving = this.#leave()
    await Promise.race([leaving, clock.sleep(leaveTimeoutMs, left.signal)])
    left.abort()
    this.#joining?.abort()
    await Promise.all([this.#consumer.close(true), this.#line.close()])
  }

  async #leave(): Promise<void> {
    try {
      await new Promise<void>((resolve, reject) => {
        this.#consumer.leaveGroup(true, (error) => (error ? reject(error) : resolve()))
      })
    } catch (error) {
      this.#debug('leaving the group failed', error)
    }
  }

  /** Until the member has joined. */
  #keepAlive(): void {
    this.#joining?.abort()
    this.#joining = new AbortController()
    void this.#beat(this.#joining.signal)
  }

  async #beat(until: AbortSignal): Promise<void> {
    const { clock } = this.#library.environment
    const { group } = this.#options
    for (;;) {
      await clock.sleep(this.#library.settings.heartbeatMs, until)
      const { memberId, generationId } = this.#consumer
      if (until.aborted || memberId === null) return
      const sentMs = clock.now()
      try {
        await this.#library.kafka.heartbeatV4.api.async(await this.#coordinator(), group, generationId, memberId, null)
        this.#heardMs = sentMs
      } catch (error) {
        // That the group rebalances is an answer too, and the heartbeat counts.
        if (isKafkaError(error, 'REBALANCE_IN_PROGRESS')) this.#heardMs = sentMs
        else this.#debug('a heartbeat failed while the group rebalances', error)
      }
    }
  }

  async #coordinator(): Promise<Connection> {
    const id = this.#consumer.coordinatorId ?? (await this.#consumer.findGroupCoordinator())
    const connection = (await this.#line.connectToBrokers([id])).get(id)
    if (!connection) throw new Error(`the coordinator of the group ${this.#options.group} is not among the brokers`)
    return connection
  }

  #debug(message: string, error: unknown): void {
    this.#library.environment.log('debug', message, { group: this.#options.group, error: describeError(error) })
  }
}
