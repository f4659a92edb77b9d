interface Entry<T> {
  readonly dueMs: number
  readonly item: T
}

/**
 * What is due when, the soonest first: a binary heap. A time that has changed is entered anew; the entry of the old one stays until it comes up, and is
 * known by `isCurrent` to be worth nothing.
 */
export class DueQueue<T> {
  readonly #heap: Entry<T>[] = []
  readonly #isCurrent: (item: T, dueMs: number) => boolean

  constructor(isCurrent: (item: T, dueMs: number) => boolean) {
    this.#isCurrent = isCurrent
  }

  /** The item that is due first. */
  get first(): T | undefined {
    for (;;) {
      const top = this.#heap[0]
      if (!top || this.#isCurrent(top.item, top.dueMs)) return top?.item
      this.#removeFirst()
    }
  }

  enter(item: T, dueMs: number): void {
    const heap = this.#heap
    const entry = { dueMs, item }
    let index = heap.length
    while (index > 0) {
      const parent = (index - 1) >> 1
      if (heap[parent]!.dueMs <= dueMs) break
      heap[index] = heap[parent]!
      index = parent
    }
    heap[index] = entry
  }

  #removeFirst(): void {
    const heap = this.#heap
    const last = heap.pop()
    if (!last || heap.length === 0) return
    let index = 0
    for (;;) {
      let child = 2 * index + 1
      if (child + 1 < heap.length && heap[child + 1]!.dueMs < heap[child]!.dueMs) child++
      if (child >= heap.length || heap[child]!.dueMs >= last.dueMs) break
      heap[index] = heap[child]!
      index = child
    }
    heap[index] = last
  }
}
