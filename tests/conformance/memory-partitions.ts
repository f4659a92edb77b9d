import { OffsetOutOfRangeError } from '../../src/transport/errors.ts'
import type {
  GroupPlace,
  OutgoingMessage,
  Partition,
  PartitionLag,
  ReceivedMessage,
  StartAt,
  SubscriptionOptions,
} from '../../src/transport/port.ts'
import type { MemoryTopic, ModelOptions, Stored } from './memory-topic.ts'
import { Bell, batchOf, keepRunning } from './memory-topic.ts'

/** A topic of several logs, each given to one member of a group. */
export class PartitionedTopic implements MemoryTopic {
  readonly partitions: number
  readonly #logs: PartitionLog[]
  readonly #groups = new Map<string, Group>()
  readonly #ids = new Set<string>()
  readonly #options: ModelOptions
  readonly #name: string

  constructor(name: string, partitions: number, options: ModelOptions) {
    this.#name = name
    this.partitions = partitions
    this.#options = options
    this.#logs = Array.from({ length: partitions }, () => new PartitionLog())
  }

  append({ priority = 'normal', ...message }: OutgoingMessage): void {
    if (this.#options.deduplicates && this.#ids.has(message.id)) return
    this.#ids.add(message.id)
    const partition = Buffer.from(message.key ?? message.id).reduce((sum, byte) => (sum * 31 + byte) >>> 0, 7) % this.partitions
    const log = this.#logs[partition]!
    const number = log.end
    log.messages.push({ ...message, topic: this.#name, partition, offset: number, timeMs: Date.now(), number, priority })
    log.bell.ring()
  }

  ensureGroup(): void {}

  join(options: SubscriptionOptions): () => Promise<void> {
    return this.#group(options.group).join(options)
  }

  resetGroup(group: string, startAt: StartAt): readonly GroupPlace[] {
    return this.#logs.map((log, partition) => {
      const next = log.indexOf(startAt)
      this.#group(group).committed.set(partition, next - 1)
      return { partition, after: next - 1, messages: log.end - next }
    })
  }

  lag(group: string): readonly PartitionLag[] {
    const { committed } = this.#group(group)
    return this.#logs.map(({ end }, partition) => ({ partition, messages: end - 1 - (committed.get(partition) ?? -1) }))
  }

  forget(partition: number, upTo: number): void {
    this.#logs[partition]!.firstKept = upTo + 1
  }

  #group(name: string): Group {
    const group = this.#groups.get(name) ?? new Group(this.#name, this.#logs)
    this.#groups.set(name, group)
    return group
  }
}

class PartitionLog {
  readonly messages: Stored[] = []
  readonly bell = new Bell()
  firstKept = 0

  get end(): number {
    return this.messages.length
  }

  async *read(options: SubscriptionOptions, after: number | undefined, revoked: AbortSignal): AsyncGenerator<readonly ReceivedMessage[]> {
    let next = after === undefined ? this.indexOf(options.startAt) : after + 1
    if (next > this.end || next < this.firstKept) throw new OffsetOutOfRangeError(`${options.topic} has no offset ${next}`)
    while (!revoked.aborted) {
      const batch = batchOf(this.messages.slice(next), options)
      next += batch.length
      if (batch.length > 0) yield batch
      else await this.bell.heard(revoked)
    }
  }

  indexOf(startAt: StartAt): number {
    if (startAt.at === 'beginning') return this.firstKept
    if (startAt.at === 'end') return this.end
    const index = this.messages.findIndex(({ timeMs }) => (timeMs ?? 0) >= startAt.timeMs)
    return index < 0 ? this.end : index
  }
}

interface Assignment {
  readonly member: SubscriptionOptions
  readonly revoking: AbortController
  readonly running: Promise<void>
}

class Group {
  readonly committed = new Map<number, number>()
  readonly #topic: string
  readonly #logs: readonly PartitionLog[]
  readonly #members: SubscriptionOptions[] = []
  readonly #assigned = new Map<number, Assignment>()
  #sharing: Promise<unknown> = Promise.resolve()

  constructor(topic: string, logs: readonly PartitionLog[]) {
    this.#topic = topic
    this.#logs = logs
  }

  join(member: SubscriptionOptions): () => Promise<void> {
    this.#members.push(member)
    void this.#share()
    return async () => {
      const index = this.#members.indexOf(member)
      if (index >= 0) this.#members.splice(index, 1)
      for (const { member: owner, revoking } of this.#assigned.values()) if (owner === member) revoking.abort()
      const running = [...this.#assigned.values()].filter(({ member: owner }) => owner === member)
      await Promise.all([...running.map((one) => one.running), this.#share()])
    }
  }

  /** Gives each partition to the member whose turn it is, one change after the other. */
  #share(): Promise<unknown> {
    this.#sharing = this.#sharing.then(() =>
      Promise.all(this.#logs.map((_, number) => this.#assign(number, this.#members[number % this.#members.length]))),
    )
    return this.#sharing
  }

  async #assign(number: number, member: SubscriptionOptions | undefined): Promise<void> {
    const current = this.#assigned.get(number)
    if (current && current.member === member) return
    if (current) {
      current.revoking.abort()
      const late = new Promise((resolve) => setTimeout(resolve, current.member.releaseTimeoutMs).unref())
      await Promise.race([current.running, late])
      this.#assigned.delete(number)
    }
    if (!member) return
    const revoking = new AbortController()
    const partition: Partition = {
      topic: this.#topic,
      number,
      revoked: revoking.signal,
      read: (after) => this.#logs[number]!.read(member, after, revoking.signal),
      acknowledge: async (messages) => {
        const offset = messages.at(-1)?.offset
        if (offset !== undefined) this.committed.set(number, offset)
      },
      release: async () => {},
    }
    this.#assigned.set(number, { member, revoking, running: keepRunning(() => member.run(partition), revoking.signal) })
  }
}
