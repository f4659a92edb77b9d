import assert from 'node:assert/strict'
import { randomUUID } from 'node:crypto'
import type { OutgoingMessage, Partition, TransportConnection } from '../../src/transport/port.ts'

/** Who has given what, and what of it came: numbers of a key, which must come in their order, each at least once. */
export class Ledger {
  readonly #confirmed = new Map<string, number[]>()
  /** Of each key what came for the first time, in the order in which it came. */
  readonly #received = new Map<string, Set<number>>()
  confirmedCount = 0
  receivedCount = 0
  /** Without repetitions. */
  distinctCount = 0

  confirm(key: string, number: number): void {
    const numbers = this.#confirmed.get(key) ?? []
    this.#confirmed.set(key, numbers)
    numbers.push(number)
    this.confirmedCount++
  }

  receive(key: string, number: number): void {
    const numbers = this.#received.get(key) ?? new Set()
    this.#received.set(key, numbers)
    this.receivedCount++
    if (!numbers.has(number)) this.distinctCount++
    numbers.add(number)
  }

  /** How many came that had come before. */
  get repetitions(): number {
    return this.receivedCount - this.distinctCount
  }

  /** Nothing that was confirmed is lost, and the first deliveries of each key came in order. */
  check(): void {
    for (const [key, numbers] of this.#confirmed) {
      const received = this.#received.get(key) ?? new Set()
      const lost = numbers.filter((number) => !received.has(number))
      assert.deepEqual(lost, [], `what of ${key} is lost`)
      const order = [...received]
      const early = order.filter((number, index) => index > 0 && number < order[index - 1]!)
      assert.deepEqual(early, [], `what of ${key} came too late`)
    }
  }
}

/** Publishes the numbers of each key, a call for each round, several calls at a time, until it is told to stop; what is not confirmed is published again with its id. */
export async function publishRounds(
  connection: TransportConnection,
  topic: string,
  ledger: Ledger,
  { keys, signal }: { readonly keys: number; readonly signal: AbortSignal },
): Promise<void> {
  const under: Promise<void>[] = []
  for (let round = 0; !signal.aborted; round++) {
    under.push(publishRound(connection, topic, ledger, keys, round))
    if (under.length >= 8) await under.shift()
  }
  await Promise.all(under)
}

async function publishRound(connection: TransportConnection, topic: string, ledger: Ledger, keys: number, round: number): Promise<void> {
  const messages = Array.from({ length: keys }, (_, key) => numbered(`k${key}`, round))
  const outcomes = await connection.publish(topic, messages)
  for (const [index, outcome] of outcomes.entries()) {
    if (!outcome.ok) throw outcome.error
    ledger.confirm(messages[index]!.key!, round)
  }
}

export function numbered(key: string, number: number): OutgoingMessage {
  return { id: randomUUID(), key, attributes: {}, headers: {}, body: Buffer.from(String(number)) }
}

/** Reads, notes and acknowledges. */
export function noting(ledger: Ledger): (partition: Partition) => Promise<void> {
  return async (partition) => {
    for await (const batch of partition.read()) {
      for (const { key, body } of batch) ledger.receive(key!, Number(Buffer.from(body).toString()))
      await partition.acknowledge(batch)
    }
  }
}
