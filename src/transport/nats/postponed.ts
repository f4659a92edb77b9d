import type { ConsumerConfig, ConsumerInfo } from '@nats-io/jetstream'
import type { Clock } from '../../message/clock.ts'
import type { Client } from './client.ts'
import { escapeName, laterSubjectsOf } from './names.ts'
import { deliverAtHeader } from './wire.ts'

/**
 * A message that is given out later carries when it is due, by the publisher's clock. The server gives it out at once, and whoever consumes gives it back with what is left
 * by his own clock until then: it waits at the server, in nobody's way. Servers schedule messages themselves since 2.12 only, and older ones ignore that.
 *
 * A day at most: the server keeps in memory what it has given out and not heard of again, for each group, and the topic must keep it for as long.
 */
export const maxDelayMs: number = 24 * 3_600_000

/** About 10 MB. Of more is not known what they are; whoever begins then waits for some of them, `ackWaitMs` at most. */
const maxNoted = 100_000

/** For so long they are looked for, at most. */
const lookMs = 3_000
const lookMessages = 5_000

/** What waits at the server because somebody has given it back for later, by the number in the stream. It will not come before it is due, so nobody need wait for it. */
export class Postponed {
  readonly #dueMs = new Map<number, number>()

  note(sequence: number, dueMs: number): void {
    if (this.#dueMs.size < maxNoted || this.#dueMs.has(sequence)) this.#dueMs.set(sequence, dueMs)
  }

  /** Messages that are not due yet. */
  count(nowMs: number): number {
    for (const [sequence, dueMs] of this.#dueMs) if (dueMs <= nowMs) this.#dueMs.delete(sequence)
    return this.#dueMs.size
  }

  clear(): void {
    this.#dueMs.clear()
  }
}

/** Finds out, by their headers, which messages others have given back for later among those that the group has been given and not finished. */
export async function findPostponed(client: Client, topic: string, info: ConsumerInfo, postponed: Postponed, clock: Clock): Promise<void> {
  const stream = escapeName(topic)
  const { consumers } = client.manager
  const config: Partial<ConsumerConfig> & Record<string, unknown> = {
    ack_policy: 'none',
    deliver_policy: 'by_start_sequence',
    opt_start_seq: info.ack_floor.stream_seq + 1,
    filter_subject: laterSubjectsOf(stream),
    headers_only: true,
    mem_storage: true,
    // In nanoseconds: should this process die, the server removes it.
    inactive_threshold: 10 * 1e9,
  }
  const { name, num_pending } = await consumers.add(stream, config)
  const untilMs = clock.now() + lookMs
  const found = await client.manager.jetstream().consumers.get(stream, name)
  for (let left = num_pending; left > 0 && clock.now() < untilMs;) {
    const before = left
    for await (const { seq, headers } of await found.fetch({ max_messages: Math.min(left, lookMessages), expires: 1_000 })) {
      left--
      const dueMs = Number(headers?.get(deliverAtHeader))
      if (seq <= info.delivered.stream_seq && dueMs > clock.now()) postponed.note(seq, dueMs)
    }
    if (left === before) break
  }
  await consumers.delete(stream, name)
}
