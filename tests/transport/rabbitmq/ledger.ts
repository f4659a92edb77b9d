import { randomUUID } from 'node:crypto'
import { expect } from 'vitest'
import type { OutgoingMessage, ReceivedMessage, TransportConnection } from '../../../src/transport/port.ts'

/** What was published, confirmed and received, so that it can be said at the end whether anything is missing. */
export class Ledger {
  readonly #confirmed = new Set<string>()
  readonly #failed = new Set<string>()
  /** How often each came, by `key number`. */
  readonly #received = new Map<string, number>()
  readonly #orderOfKey = new Map<string, number[]>()
  #next = 0

  get confirmed(): number {
    return this.#confirmed.size
  }

  get received(): number {
    return this.#received.size
  }

  get repeated(): number {
    let repeated = 0
    for (const times of this.#received.values()) repeated += times - 1
    return repeated
  }

  /** The next messages of each key in turn. */
  messages(count: number, keys = 10): readonly OutgoingMessage[] {
    return Array.from({ length: count }, () => {
      const number = this.#next++
      const key = `k${number % keys}`
      return { id: randomUUID(), key, attributes: {}, headers: {}, body: Buffer.from(`${key} ${Math.floor(number / keys)}`) }
    })
  }

  async publish(connection: TransportConnection, topic: string, messages: readonly OutgoingMessage[]): Promise<void> {
    const outcomes = await connection.publish(topic, messages)
    for (const [index, { ok }] of outcomes.entries()) (ok ? this.#confirmed : this.#failed).add(textOf(messages[index]!))
  }

  receive(batch: readonly ReceivedMessage[]): void {
    for (const message of batch) this.note(textOf(message))
  }

  note(text: string): void {
    const times = this.#received.get(text) ?? 0
    this.#received.set(text, times + 1)
    if (times > 0) return
    const [key = '', number] = text.split(' ')
    const numbers = this.#orderOfKey.get(key) ?? []
    numbers.push(Number(number))
    this.#orderOfKey.set(key, numbers)
  }

  missing(): readonly string[] {
    return [...this.#confirmed].filter((text) => !this.#received.has(text))
  }

  /** Nothing that was confirmed is missing, nothing came that was not published, and each key's messages came, for the first time, in their order. */
  expectComplete(): void {
    expect(this.missing()).toEqual([])
    expect([...this.#received.keys()].filter((text) => !this.#confirmed.has(text) && !this.#failed.has(text))).toEqual([])
    for (const [key, numbers] of this.#orderOfKey) expect(numbers, `the order of ${key}`).toEqual(numbers.toSorted((a, b) => a - b))
  }
}

function textOf({ body }: { readonly body: Uint8Array }): string {
  return Buffer.from(body).toString()
}
