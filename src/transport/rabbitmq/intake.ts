/** Set on a consumer when it begins; the broker counts in 16 bits, and takes 0 for no limit. */
const largestPrefetch = 65_535
/** Of the first consumer, while it is not known how large the messages are. */
const firstPrefetch = 8

/**
 * How many messages the broker may send ahead. It counts messages only, and for as long as a consumer lives: to keep within bytes too, the
 * consumer is ended when too many are held, and begun again with room for as many as fit by their mean size. The first one is small, so that
 * a queue of large messages is noticed by its first few.
 */
export class Intake {
  readonly #maxMessages: number
  readonly #maxBytes: number
  #held = 0
  #heldBytes = 0
  /** Of the messages that came last, larger ones weighing more. */
  #meanBytes = 0
  /** Of the consumer that is there; 0 when there is none. */
  #prefetch = 0
  /** How many came to it. */
  #sent = 0

  constructor(maxMessages: number, maxBytes: number) {
    this.#maxMessages = Math.max(1, maxMessages)
    this.#maxBytes = Math.max(1, maxBytes)
  }

  get held(): number {
    return this.#held
  }

  delivered(bytes: number): void {
    this.#held++
    this.#sent++
    this.#heldBytes += bytes
    const weight = bytes > this.#meanBytes ? 0.25 : 0.01
    this.#meanBytes = this.#meanBytes === 0 ? bytes : this.#meanBytes + (bytes - this.#meanBytes) * weight
  }

  settled(bytes: number): void {
    this.#held--
    this.#heldBytes -= bytes
  }

  /**
   * The prefetch with which a consumer is to take the place of the one that is there, 0 when there is to be none for now, undefined when all
   * is well.
   */
  advise(): number | undefined {
    const allowsTooMuch = this.#prefetch > 1 && this.#prefetch * this.#meanBytes > this.#maxBytes * 1.25
    if (allowsTooMuch && this.#heldBytes >= this.#maxBytes) return 0
    if (this.#prefetch === 0 && this.#heldBytes > this.#maxBytes / 2) return undefined
    const room = this.#room()
    if (this.#prefetch === 0) return room > 0 ? room : undefined
    // A larger one is worth a round trip when this one is used up and far smaller than it could be.
    return this.#held >= this.#prefetch && room >= this.#prefetch ? room : undefined
  }

  /** Whether more may come while nothing is settled: to the consumer that is there, or to another one in its place. Those before it were sent what they hold. */
  get mayTake(): boolean {
    return this.#sent < this.#prefetch || this.advise() !== undefined
  }

  /** A consumer with this prefetch is there now; 0: none is. */
  begun(prefetch: number): void {
    this.#prefetch = prefetch
    this.#sent = 0
  }

  #room(): number {
    if (this.#meanBytes === 0) return Math.min(this.#maxMessages, firstPrefetch)
    const byBytes = Math.max(1, Math.floor(this.#maxBytes / this.#meanBytes))
    return Math.min(this.#maxMessages, byBytes, largestPrefetch) - this.#held
  }
}
