import type { ReceivedMessage } from '../port.ts'

/** A message that SQS keeps from others until its time is up. */
export interface Held {
  readonly message: ReceivedMessage
  readonly receiptHandle: string
  readonly bytes: number
  /** Until then nobody else is given it. */
  hiddenUntilMs: number
}

/** What this process has received and not finished. */
export class HeldMessages {
  readonly #held = new Map<ReceivedMessage, Held>()
  /** Finished, but SQS has not confirmed it yet: they must stay hidden until then, and are nobody's to release. */
  readonly #finishing = new Set<Held>()
  #bytes = 0

  get count(): number {
    return this.#held.size
  }

  get bytes(): number {
    return this.#bytes
  }

  add(held: Held): void {
    this.#held.set(held.message, held)
    this.#bytes += held.bytes
  }

  /** Takes those out that are held: a message that was finished or released before is no longer. */
  take(messages: Iterable<ReceivedMessage>): Held[] {
    const taken: Held[] = []
    for (const message of messages) {
      const held = this.#held.get(message)
      if (!held) continue
      this.#held.delete(message)
      this.#bytes -= held.bytes
      taken.push(held)
    }
    return taken
  }

  takeAll(): Held[] {
    return this.take([...this.#held.keys()])
  }

  beginFinishing(held: Held): void {
    this.#finishing.add(held)
  }

  endFinishing(held: Held): void {
    this.#finishing.delete(held)
  }

  isHeld({ message }: Held): boolean {
    return this.#held.has(message)
  }

  /** Those whose time will be up by then. */
  hiddenUntil(timeMs: number): Held[] {
    const isDue = ({ hiddenUntilMs }: Held): boolean => hiddenUntilMs <= timeMs
    return [...[...this.#held.values()].filter(isDue), ...[...this.#finishing].filter(isDue)]
  }
}
