import assert from 'node:assert/strict'
import type { OutgoingMessage, Partition, ReceivedMessage, TransportConnection } from '../../../src/transport/port.ts'
import { subscriptionTo } from './clients.ts'

/** What was confirmed and what came, and whether the one follows from the other. */
export class Ledger {
  readonly confirmed = new Map<string, OutgoingMessage>()
  /** May have been written or not. */
  readonly unconfirmed = new Set<string>()
  /** In the order in which they came, by key; repetitions too. */
  readonly received = new Map<string, ReceivedMessage[]>()
  readonly offsets = new Map<number, number>()
  count = 0

  /** Publishes until everything is confirmed, as whoever must not lose anything does. */
  async publishAll(connection: TransportConnection, topic: string, messages: readonly OutgoingMessage[]): Promise<void> {
    let left = messages
    while (left.length > 0) {
      const outcomes = await connection.publish(topic, left)
      for (const [index, outcome] of outcomes.entries()) {
        if (outcome.ok) this.confirmed.set(left[index]!.id, left[index]!)
        else this.unconfirmed.add(left[index]!.id)
      }
      left = left.filter(({ id }) => !this.confirmed.has(id))
    }
  }

  /** Consumes and keeps the offsets, as a store that commits both together does. */
  async consume(partition: Partition): Promise<void> {
    const number = partition.number ?? 0
    for await (const batch of partition.read(this.offsets.get(number))) {
      for (const message of batch) this.#enter(message)
      this.offsets.set(number, batch.at(-1)?.offset ?? 0)
      await partition.acknowledge(batch)
    }
  }

  async follow(connection: TransportConnection, topic: string, group = topic): Promise<void> {
    await connection.subscribe(subscriptionTo(topic, group, (partition) => this.consume(partition)))
  }

  /** Throws until everything confirmed has come. */
  assertComplete(): void {
    const ids = new Set([...this.received.values()].flat().map(({ id }) => id))
    const missing = [...this.confirmed.keys()].filter((id) => !ids.has(id))
    assert.equal(missing.length, 0, `${missing.length} of ${this.confirmed.size} confirmed messages have not come`)
  }

  /** The messages of each key, each where it came first, are in the order in which they were published. */
  assertOrder(): void {
    for (const [key, messages] of this.received) {
      const first = [...new Map(messages.toReversed().map((one) => [one.id, one])).values()]
        .toSorted((a, b) => (a.offset ?? 0) - (b.offset ?? 0))
        .map(({ body }) => Number(Buffer.from(body).toString().split(' ')[1]))
      assert.deepEqual(
        first,
        first.toSorted((a, b) => a - b),
        `the order of ${key}`,
      )
    }
  }

  /** How many came more than once. */
  repetitions(): number {
    const all = [...this.received.values()].flat()
    return all.length - new Set(all.map(({ id }) => id)).size
  }

  #enter(message: ReceivedMessage): void {
    const key = message.key ?? ''
    const known = this.received.get(key) ?? []
    if (known.length === 0) this.received.set(key, known)
    known.push(message)
    this.count++
  }
}
