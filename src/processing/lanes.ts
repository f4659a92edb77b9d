import type { RecordedEvent } from '../message/event.ts'

/** The messages of one key that are at hand; the first one runs, or is the next to. */
export interface Lane {
  readonly key: string
  readonly queue: RecordedEvent[]
}

/** Messages at hand by their keys: those of one key in order, those of different keys in the order in which they became ready. */
export class Lanes {
  readonly #lanes = new Map<string, Lane>()
  readonly #ready: Lane[] = []
  /** Of `#ready`, those before it have begun. */
  #next = 0
  #count = 0

  /** Messages at hand. */
  get count(): number {
    return this.#count
  }

  get hasReady(): boolean {
    return this.#next < this.#ready.length
  }

  /** A message whose turn comes when all earlier ones of its key are done with. */
  add(key: string, event: RecordedEvent): void {
    const lane = this.#lanes.get(key)
    if (lane) {
      lane.queue.push(event)
      this.#count++
    } else this.#ready.push(this.begin(key, event))
  }

  /** A message that is begun at once, of a key that has no others. */
  begin(key: string, event: RecordedEvent): Lane {
    const lane = { key, queue: [event] }
    this.#lanes.set(key, lane)
    this.#count++
    return lane
  }

  /** The lane whose first message is to begin. */
  take(): Lane | undefined {
    const lane = this.#ready[this.#next]
    if (!lane) return undefined
    this.#next++
    // Taking from the front of a long array would move all the others each time.
    if (this.#next >= 1_000 || this.#next === this.#ready.length) {
      this.#ready.splice(0, this.#next)
      this.#next = 0
    }
    return lane
  }

  /** The first message of the lane is done with. */
  advance(lane: Lane): void {
    lane.queue.shift()
    this.#count--
    if (lane.queue.length > 0) this.#ready.push(lane)
    else this.#lanes.delete(lane.key)
  }

  /** The lane with all that is in it is somebody else's. */
  remove(lane: Lane): void {
    this.#count -= lane.queue.length
    this.#lanes.delete(lane.key)
  }
}
