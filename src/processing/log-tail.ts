import type { RecordedEvent } from '../message/event.ts'
import { describeError } from '../observability/log.ts'
import type { EventStore } from '../storage/event-store.ts'
import { eventsWithin, firstPageEvents, nextPageEvents } from '../storage/page-size.ts'

export interface LogTailOptions {
  /** How often to look without having been woken, in case a wake-up was lost. Default: 1,000. */
  readonly pollMs?: number
  /** Events kept for those who are nearly there, fewer where they are large. Default: 5,000. */
  readonly keepEvents?: number
}

const pageBytes = 4 * 1024 * 1024
const maxPageEvents = 1_000
/** Twice as much is kept at times. */
const keepBytes = 8 * 1024 * 1024

/**
 * The end of the log, read once for all processors of the process that have caught up. It is woken by appends of this process at once, by those
 * of others through the store's signal, and looks by itself now and then.
 */
export class LogTail {
  readonly #store: EventStore
  readonly #pollMs: number
  readonly #keepEvents: number
  /** The latest events, dense; the last one is at `#head`. */
  #recent: RecordedEvent[] = []
  #head = 0
  #limit = firstPageEvents
  #waiting = new Set<() => void>()
  #woken = false
  #wake: () => void = () => {}
  #running: Promise<void> | undefined
  #stops: (() => unknown)[] = []
  readonly #stopping = new AbortController()

  constructor(store: EventStore, { pollMs = 1_000, keepEvents = 5_000 }: LogTailOptions = {}) {
    this.#store = store
    this.#pollMs = pollMs
    this.#keepEvents = keepEvents
  }

  /** The last position that the tail has seen. */
  get head(): number {
    return this.#head
  }

  async start(): Promise<void> {
    const wake = (): void => {
      this.#woken = true
      this.#wake()
    }
    this.#stops.push(this.#store.onAppended(wake), await this.#store.driver.listen(wake))
    this.#head = (await this.#store.log()).head
    this.#running = this.#run()
  }

  async stop(): Promise<void> {
    this.#stopping.abort()
    for (const stop of this.#stops) await stop()
    await this.#running
    this.#release()
  }

  /**
   * The events after a position, empty when there are none yet; undefined when the tail does not go back that far, so that the caller must read
   * the log itself.
   */
  after(position: number): readonly RecordedEvent[] | undefined {
    if (position >= this.#head) return none
    const missing = this.#head - position
    return missing <= this.#recent.length ? this.#recent.slice(this.#recent.length - missing) : undefined
  }

  /** Resolves when the log is longer than `position`, when `timeoutMs` have passed, or when `signal` is aborted. */
  async grown(position: number, timeoutMs: number, signal: AbortSignal): Promise<void> {
    if (this.#head > position || signal.aborted || this.#stopping.signal.aborted) return
    const timeout = new AbortController()
    await new Promise<void>((resolve) => {
      this.#waiting.add(resolve)
      signal.addEventListener('abort', () => resolve(), { once: true, signal: timeout.signal })
      if (timeoutMs < Infinity) void this.#store.environment.clock.sleep(timeoutMs, timeout.signal).then(resolve)
    })
    timeout.abort()
  }

  async #run(): Promise<void> {
    const { clock, log } = this.#store.environment
    while (!this.#stopping.signal.aborted) {
      this.#woken = false
      try {
        while (await this.#readPage()) if (this.#stopping.signal.aborted) return
      } catch (error) {
        // The processors that read for themselves report it too; here it must only not end the tail.
        log('warn', 'the end of the log could not be read', { error: describeError(error) })
      }
      if (this.#woken) continue
      const pause = new AbortController()
      this.#wake = () => pause.abort()
      const stop = (): void => pause.abort()
      this.#stopping.signal.addEventListener('abort', stop, { once: true })
      await clock.sleep(this.#pollMs, pause.signal)
      this.#stopping.signal.removeEventListener('abort', stop)
    }
  }

  async #readPage(): Promise<boolean> {
    const limit = this.#limit
    const page = await this.#store.readLogPage({ after: this.#head, limit })
    this.#store.environment.metrics.count('headwater_tail_reads_total')
    if (page.length === 0) return false
    this.#recent.push(...page)
    const keep = Math.max(1, Math.min(this.#keepEvents, eventsWithin(keepBytes, page) ?? Infinity))
    if (this.#recent.length > 2 * keep) this.#recent = this.#recent.slice(-keep)
    this.#limit = nextPageEvents(page, { limit, bytes: pageBytes, maxEvents: maxPageEvents })
    this.#head = page.at(-1)!.position
    this.#release()
    return page.length === limit
  }

  #release(): void {
    const waiting = this.#waiting
    this.#waiting = new Set()
    for (const resolve of waiting) resolve()
  }
}

const none: readonly RecordedEvent[] = []
