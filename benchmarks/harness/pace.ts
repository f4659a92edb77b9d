import type { Metrics } from '../../src/observability/metrics.ts'
import { InMemoryMetrics } from '../../src/observability/metrics.ts'

/** How fast a run was, and what it cost this process. */
export interface Speed {
  readonly perSecond: number
  /** Processor time of this process, all threads, for each message. */
  readonly cpuMicros: number
}

/**
 * Times a run of so many messages from the moment when a tenth of them is through: what a consumer needs to join, and the little that its client has fetched
 * before it was asked, count for nobody. A client that fetches more than that at once is timed from the beginning (`isWhole`), else its work would be left out.
 */
export class Pace {
  readonly #total: number
  readonly #finished = Promise.withResolvers<Speed>()
  #count = 0
  #start: { readonly count: number; readonly ms: number; readonly cpu: NodeJS.CpuUsage } | undefined
  #isOver = false

  constructor(total: number, { isWhole = false }: { readonly isWhole?: boolean | undefined } = {}) {
    this.#total = total
    if (isWhole) this.begin()
  }

  /** Resolves when the last message is through. */
  get finished(): Promise<Speed> {
    return this.#finished.promise
  }

  get isOver(): boolean {
    return this.#isOver
  }

  add(messages = 1): void {
    this.#count += messages
    if (this.#start === undefined) {
      if (this.#count >= this.#total) this.#finished.reject(new Error(`${this.#total} messages were through at once: too few to time`))
      else if (this.#count >= this.#total / 10) this.begin()
    } else if (this.#count >= this.#total && !this.#isOver) {
      this.#isOver = true
      const measured = this.#count - this.#start.count
      const { user, system } = process.cpuUsage(this.#start.cpu)
      this.#finished.resolve({
        perSecond: (measured * 1_000) / (performance.now() - this.#start.ms),
        cpuMicros: (user + system) / measured,
      })
    }
  }

  /** Times from here on: for who has much under way at once, of which a part would be done before a tenth is through. */
  begin(): void {
    this.#start ??= { count: this.#count, ms: performance.now(), cpu: process.cpuUsage() }
  }
}

/** What a service reports its figures to, to be told how much its processors have committed. */
export function pacedBy(pace: Pace): Metrics {
  const metrics = new InMemoryMetrics()
  return {
    count(name, by = 1, labels) {
      metrics.count(name, by, labels)
      if (name === 'headwater_processor_events_total') pace.add(by)
    },
    gauge: (name, value, labels) => metrics.gauge(name, value, labels),
    duration: (name, ms, labels) => metrics.duration(name, ms, labels),
  }
}
