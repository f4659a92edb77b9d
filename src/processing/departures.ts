import type { DocumentWrite } from '../storage/write-set.ts'
import type { Clock } from '../message/clock.ts'
import type { RecordedEvent } from '../message/event.ts'
import type { FailurePolicy } from './failure-policy.ts'
import type { FailureReport } from './held-lanes.ts'
import type { Onward } from './onward.ts'

export interface DeparturesParts {
  readonly onward: Onward
  readonly policy: FailurePolicy
  readonly clock: Clock
  /** Aborted when nothing more is to begin. */
  readonly signal: AbortSignal
  /** The message is where it should be: it is finished here. */
  readonly finish: (event: RecordedEvent, documents: readonly DocumentWrite[]) => void
  /** A message could not be sent on: it is not finished, and comes again when the processor begins anew. */
  readonly onFailed: (error: unknown) => void
  readonly onFree: () => void
}

/** A handler that was given up and does not come to an end keeps its message here so long, at most. */
const maxStragglerMs = 60_000
/** Who stops waits so long for the broker's confirmations. */
const settleWithinMs = 5_000

/** Messages that failed and are on their way to a retry topic, or to the dead letters. None is finished before the broker has confirmed it. */
export class Departures {
  readonly #parts: DeparturesParts
  #count = 0
  #whenNone: (() => void) | undefined

  constructor(parts: DeparturesParts) {
    this.#parts = parts
  }

  get count(): number {
    return this.#count
  }

  /** `straggler`: the handler was given up and still runs; nobody else is to begin with the message before it has ended. */
  send(report: FailureReport, straggler: Promise<void> | undefined): void {
    const { onFailed, onFree } = this.#parts
    this.#count++
    void this.#send(report, straggler)
      .catch(onFailed)
      .finally(() => {
        if (--this.#count === 0) this.#whenNone?.()
        onFree()
      })
  }

  /** Resolves when none is on its way any more, or it takes too long: those that were not confirmed come again. */
  async settled(): Promise<void> {
    if (this.#count === 0) return
    const done = new AbortController()
    const none = new Promise<void>((resolve) => (this.#whenNone = resolve))
    await Promise.race([none, this.#parts.clock.sleep(settleWithinMs, done.signal)])
    done.abort()
  }

  async #send(report: FailureReport, straggler: Promise<void> | undefined): Promise<void> {
    const { onward, policy, finish, signal } = this.#parts
    if (straggler) await this.#ended(straggler)
    if (signal.aborted) return
    const sent = await onward.send(report, !policy.blamesDependency(report.error))
    if (sent.how === 'sent-on') {
      policy.sentOn()
      finish(report.event, [])
    } else finish(report.event, policy.giveUp(report, sent.before))
  }

  async #ended(straggler: Promise<void>): Promise<void> {
    const { clock, signal } = this.#parts
    const ended = new AbortController()
    await Promise.race([straggler, clock.sleep(maxStragglerMs, AbortSignal.any([signal, ended.signal]))])
    ended.abort()
  }
}
