import type { Labels, Metrics } from '../../observability/metrics.ts'
import type { ReceivedMessage } from '../port.ts'

/** Counts the messages that were given out and not acknowledged, batch by batch. */
export class HeldMessages {
  readonly #metrics: Metrics
  readonly #labels: Labels
  readonly #byPartition = new Map<number, { readonly lastOffset: number; readonly count: number }[]>()
  #held = 0

  constructor(metrics: Metrics, labels: Labels) {
    this.#metrics = metrics
    this.#labels = labels
  }

  add(partition: number, batch: readonly ReceivedMessage[]): void {
    const batches = this.#byPartition.get(partition) ?? []
    if (batches.length === 0) this.#byPartition.set(partition, batches)
    batches.push({ lastOffset: batch.at(-1)?.offset ?? 0, count: batch.length })
    this.#change(batch.length)
  }

  /** All up to this offset are finished. */
  finish(partition: number, offset: number): void {
    const batches = this.#byPartition.get(partition)
    let finished = 0
    while (batches?.[0] && batches[0].lastOffset <= offset) finished += batches.shift()!.count
    if (finished > 0) this.#change(-finished)
  }

  forget(partition: number): void {
    this.finish(partition, Infinity)
  }

  #change(by: number): void {
    this.#held += by
    this.#metrics.gauge('headwater_transport_held', this.#held, this.#labels)
  }
}
