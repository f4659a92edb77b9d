import { describe, expect, test } from 'vitest'
import { Intake } from '../../../src/transport/rabbitmq/intake.ts'

/** A queue of messages of one size that the broker sends as far as the consumer's prefetch allows. */
class Queue {
  readonly #intake: Intake
  readonly #bytes: number
  /** Unacknowledged, by the consumer to which they were sent; the last one is there. */
  readonly #sent: number[] = []
  mostHeld = 0
  consumers = 0

  constructor(intake: Intake, bytes: number) {
    this.#intake = intake
    this.#bytes = bytes
  }

  /** Sends what may be sent, until nothing changes any more. */
  flow(): void {
    for (let prefetch = this.#intake.advise(); prefetch !== undefined; prefetch = this.#intake.advise()) {
      this.#intake.begun(prefetch)
      if (prefetch === 0) continue
      this.consumers++
      this.#sent.push(0)
      this.send(prefetch)
    }
  }

  send(prefetch: number): void {
    for (let count = this.#sent.at(-1) ?? 0; count < prefetch; count++) {
      this.#sent[this.#sent.length - 1] = count + 1
      this.#intake.delivered(this.#bytes)
    }
    this.mostHeld = Math.max(this.mostHeld, this.#intake.held)
  }
}

describe('how many messages the broker may send ahead', () => {
  test.each([
    { maxMessages: 1, maxBytes: 1_000_000, bytes: 100, most: 1 },
    { maxMessages: 5, maxBytes: 1_000_000, bytes: 100, most: 5 },
    { maxMessages: 1_000, maxBytes: 10_000_000, bytes: 1_000, most: 1_000 },
    { maxMessages: 1_000, maxBytes: 1_000_000, bytes: 10_000, most: 100 },
    // The first eight come before anything is known of their size.
    { maxMessages: 1_000, maxBytes: 1_000_000, bytes: 1_000_000, most: 8 },
    { maxMessages: 100_000, maxBytes: 1e9, bytes: 100, most: 65_543 },
  ])('at most $most of $bytes bytes, when $maxMessages or $maxBytes bytes may be held', ({ maxMessages, maxBytes, bytes, most }) => {
    const queue = new Queue(new Intake(maxMessages, maxBytes), bytes)
    queue.flow()
    expect(queue.mostHeld).toBeLessThanOrEqual(most)
    expect(queue.mostHeld).toBeGreaterThan(most * 0.8)
    expect(queue.consumers).toBeLessThanOrEqual(3)
  })

  test('a consumer that lets in too much is ended, and another one begins when there is room', () => {
    const intake = new Intake(100, 10_000)
    expect(intake.advise()).toBe(8)
    intake.begun(8)
    for (let count = 0; count < 8; count++) intake.delivered(100)
    expect(intake.advise()).toBe(92)
    intake.begun(0)
    intake.begun(92)
    // Small ones were followed by large ones.
    for (let count = 0; count < 5; count++) intake.delivered(5_000)
    expect(intake.advise()).toBe(0)
    intake.begun(0)
    expect(intake.advise()).toBeUndefined()
    for (let count = 0; count < 5; count++) intake.settled(5_000)
    const next = intake.advise()
    expect(next).toBeUndefined()
    for (let count = 0; count < 8; count++) intake.settled(100)
    expect(intake.advise()).toBeGreaterThanOrEqual(1)
    expect(intake.advise()).toBeLessThan(8)
  })

  test('more may come until each consumer has been sent as many as it may hold, whatever those before it hold', () => {
    const intake = new Intake(60, 1_000_000)
    for (const prefetch of [8, 52]) {
      expect(intake.advise()).toBe(prefetch)
      intake.begun(prefetch)
      for (let count = 0; count < prefetch; count++) {
        expect(intake.mayTake).toBe(true)
        intake.delivered(100)
      }
    }
    expect(intake.held).toBe(60)
    expect(intake.mayTake).toBe(false)
  })
})
