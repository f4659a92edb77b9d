import assert from 'node:assert/strict'
import { randomUUID } from 'node:crypto'
import type { OutgoingMessage, Partition, TransportConnection } from '../../../src/transport/port.ts'

/** What was confirmed, and what came of it: the numbers of each key. */
export class Ledger {
  readonly #confirmed = new Map<string, number[]>()
  readonly #received = new Map<string, number[]>()
  confirmedCount = 0
  receivedCount = 0

  confirm(key: string, number: number): void {
    entriesOf(this.#confirmed, key).push(number)
    this.confirmedCount++
  }

  receive(key: string, number: number): void {
    entriesOf(this.#received, key).push(number)
    this.receivedCount++
  }

  /** Of what was confirmed, how much has not come. */
  get missing(): readonly string[] {
    return [...this.#confirmed].flatMap(([key, numbers]) => {
      const received = new Set(this.#received.get(key))
      return numbers.filter((number) => !received.has(number)).map((number) => `${key} ${number}`)
    })
  }

  get repetitions(): number {
    return this.receivedCount - [...this.#received.values()].reduce((sum, numbers) => sum + new Set(numbers).size, 0)
  }

  /** Nothing is lost, and of each key no number came for the first time after a larger one. */
  check(): void {
    assert.deepEqual(this.missing, [], 'nothing that was confirmed is lost')
    for (const [key, numbers] of this.#received) {
      const firsts = [...new Set(numbers)]
      const late = firsts.filter((number, index) => index > 0 && number < firsts[index - 1]!)
      assert.deepEqual(late, [], `nothing of ${key} was overtaken`)
    }
  }
}

function entriesOf(entries: Map<string, number[]>, key: string): number[] {
  const found = entries.get(key)
  if (found) return found
  const made: number[] = []
  entries.set(key, made)
  return made
}

/** Publishes the next number of each key, in several calls that overlap, until it is told to stop. */
export async function publishRounds(
  connection: TransportConnection,
  topic: string,
  ledger: Ledger,
  keys: number,
  signal: AbortSignal,
): Promise<void> {
  const calls: Promise<void>[] = []
  for (let number = 0; !signal.aborted; number++) {
    calls.push(publishRound(connection, topic, ledger, keys, number))
    if (calls.length >= 5) await calls.shift()
  }
  await Promise.all(calls)
}

async function publishRound(connection: TransportConnection, topic: string, ledger: Ledger, keys: number, number: number): Promise<void> {
  const messages = Array.from({ length: keys }, (_, key) => numbered(`k${key}`, number))
  const outcomes = await connection.publish(topic, messages)
  for (const [index, outcome] of outcomes.entries()) {
    if (!outcome.ok) throw outcome.error
    ledger.confirm(messages[index]!.key!, number)
  }
}

export function numbered(key: string, number: number): OutgoingMessage {
  return { id: randomUUID(), key, attributes: {}, headers: {}, body: Buffer.from(String(number)) }
}

/** Reads, notes, acknowledges. */
export function noting(ledger: Ledger): (partition: Partition) => Promise<void> {
  return async (partition) => {
    for await (const batch of partition.read()) {
      for (const { key, body } of batch) ledger.receive(key!, Number(Buffer.from(body).toString()))
      await partition.acknowledge(batch)
    }
  }
}
