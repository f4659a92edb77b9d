import { setTimeout as delay } from 'node:timers/promises'
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

const rank = { high: 0, normal: 1, low: 2 }

/** A topic that keeps one queue for each group. */
export class QueueTopic implements MemoryTopic {
  readonly partitions = 1
  readonly #name: string
  readonly #options: ModelOptions
  readonly #history: Stored[] = []
  readonly #queues = new Map<string, Queue>()
  readonly #ids = new Set<string>()
  #count = 0

  constructor(name: string, options: ModelOptions) {
    this.#name = name
    this.#options = options
  }

  append({ priority = 'normal', ...message }: OutgoingMessage): void {
    if (this.#options.deduplicates && this.#ids.has(message.id)) return
    this.#ids.add(message.id)
    const place = { topic: this.#name, partition: undefined, offset: undefined, timeMs: Date.now(), number: ++this.#count, priority }
    const stored: Stored = { ...message, ...place }
    if (this.#options.keepsHistory) this.#history.push(stored)
    for (const queue of this.#queues.values()) queue.add(stored)
  }

  ensureGroup(group: string, startAt: StartAt): void {
    if (this.#queues.has(group)) return
    const queue = new Queue(this.#options)
    const first = startAt.at === 'beginning' ? -Infinity : startAt.at === 'time' ? startAt.timeMs : Infinity
    for (const stored of this.#history) if ((stored.timeMs ?? 0) >= first) queue.add(stored)
    this.#queues.set(group, queue)
  }

  join(options: SubscriptionOptions): () => Promise<void> {
    this.ensureGroup(options.group, options.startAt)
    return this.#queues.get(options.group)!.join(this.#name, options)
  }

  resetGroup(group: string, startAt: StartAt): readonly GroupPlace[] {
    this.#queues.delete(group)
    this.ensureGroup(group, startAt)
    return [{ partition: undefined, after: undefined, messages: this.#queues.get(group)!.length }]
  }

  lag(group: string): readonly PartitionLag[] {
    return [{ partition: undefined, messages: this.#queues.get(group)?.length ?? 0 }]
  }

  forget(): void {}
}

interface Member {
  readonly options: SubscriptionOptions
  readonly inbox: Stored[]
  readonly held: Set<Stored>
  readonly bell: Bell
}

class Queue {
  readonly #options: ModelOptions
  /** In the order in which they are given out. */
  readonly #waiting: Stored[] = []
  readonly #members: Member[] = []
  #isScheduled = false

  constructor(options: ModelOptions) {
    this.#options = options
  }

  get length(): number {
    return this.#members.reduce((sum, { held }) => sum + held.size, this.#waiting.length)
  }

  add(stored: Stored): void {
    // A model without order shows whoever expects one.
    const before = (other: Stored): boolean => {
      if (this.#options.ordering === 'none') return Math.random() < 0.5
      const priorities = this.#options.priorities ? rank[other.priority] - rank[stored.priority] : 0
      return priorities === 0 ? other.number < stored.number : priorities < 0
    }
    let index = this.#waiting.length
    while (index > 0 && !before(this.#waiting[index - 1]!)) index--
    this.#waiting.splice(index, 0, stored)
    this.#schedule()
  }

  join(topic: string, options: SubscriptionOptions): () => Promise<void> {
    const member: Member = { options, inbox: [], held: new Set(), bell: new Bell() }
    const revoking = new AbortController()
    this.#members.push(member)
    this.#schedule()
    const finished = (messages: readonly ReceivedMessage[]): readonly Stored[] =>
      [...member.held].filter((one) => messages.some(({ id }) => id === one.id) && member.held.delete(one))
    const partition: Partition = {
      topic,
      number: undefined,
      revoked: revoking.signal,
      read: () => readInbox(member, revoking.signal),
      acknowledge: async (messages) => {
        finished(messages)
        this.#schedule()
      },
      release: async (messages) => {
        for (const one of finished(messages)) this.add(one)
        this.#schedule()
      },
    }
    const running = keepRunning(() => options.run(partition), revoking.signal)
    return async () => {
      revoking.abort()
      this.#members.splice(this.#members.indexOf(member), this.#members.includes(member) ? 1 : 0)
      await Promise.race([running, delay(options.releaseTimeoutMs, undefined, { ref: false })])
      for (const one of member.held) this.add(one)
      member.held.clear()
    }
  }

  #schedule(): void {
    if (this.#isScheduled) return
    this.#isScheduled = true
    setImmediate(() => {
      this.#isScheduled = false
      this.#giveOut()
    })
  }

  #giveOut(): void {
    const busy = new Set(this.#members.flatMap(({ held }) => [...held].map(({ key }) => key)))
    for (const stored of this.#waiting.slice()) {
      if (this.#options.ordering === 'group' && stored.key !== undefined && busy.has(stored.key)) continue
      const member = this.#members.find(({ held, options }) => held.size < options.maxMessages)
      if (!member) return
      // In turn.
      this.#members.push(...this.#members.splice(this.#members.indexOf(member), 1))
      this.#waiting.splice(this.#waiting.indexOf(stored), 1)
      busy.add(stored.key)
      member.held.add(stored)
      member.inbox.push(stored)
      member.bell.ring()
    }
  }
}

async function* readInbox({ inbox, options, bell }: Member, revoked: AbortSignal): AsyncGenerator<readonly ReceivedMessage[]> {
  while (!revoked.aborted) {
    const batch = batchOf(inbox, options)
    inbox.splice(0, batch.length)
    if (batch.length > 0) yield batch
    else await bell.heard(revoked)
  }
}
