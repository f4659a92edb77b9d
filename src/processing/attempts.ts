import type { Environment } from '../observability/environment.ts'
import type { HandlerCall } from './handler-call.ts'
import { HandlerTimeoutError } from './retry.ts'

/** How an attempt ended that did not end at once. */
export type AttemptEnd =
  | { readonly how: 'succeeded' }
  /** `straggler`: the handler was given up and still runs; resolves when it has come to its end. */
  | { readonly how: 'failed'; readonly error: unknown; readonly straggler?: Promise<void> }
  /** It was told to stop and has not finished, which is nobody's fault. */
  | { readonly how: 'stopped' }

interface Running {
  readonly call: HandlerCall
  readonly deadlineMs: number
  readonly ended: AbortController
  end(end: AttemptEnd): void
}

/** How long a handler may take to react to its signal before it is left behind. */
const reactWithinMs = 5_000

/** The attempts of one processor that are under way: each has its time, then it is told to give up, and soon after it is left behind. */
export class Attempts {
  readonly #handler: string
  readonly #timeoutMs: number
  readonly #environment: Environment
  readonly #running = new Set<Running>()
  /** Those that have time left, in the order of their deadlines, since all have as long. */
  readonly #inTime = new Set<Running>()
  #timer: AbortController | undefined
  #stoppedWith: Error | undefined

  constructor(handler: string, timeoutMs: number, environment: Environment) {
    this.#handler = handler
    this.#timeoutMs = timeoutMs
    this.#environment = environment
  }

  get count(): number {
    return this.#running.size
  }

  /** Waits for the end of an attempt that has begun, at most for the handler's time-out and a little more. */
  finish(call: HandlerCall, pending: Promise<void>): Promise<AttemptEnd> {
    return new Promise((resolve) => {
      const ended = new AbortController()
      const end = (how: AttemptEnd): void => {
        this.#running.delete(running)
        this.#inTime.delete(running)
        ended.abort()
        resolve(how)
      }
      const running: Running = { call, deadlineMs: this.#environment.clock.now() + this.#timeoutMs, ended, end }
      this.#running.add(running)
      this.#inTime.add(running)
      pending.then(
        () => end(call.abortedWith ? { how: 'failed', error: call.abortedWith } : { how: 'succeeded' }),
        (error: unknown) => end(this.#stoppedWith ? { how: 'stopped' } : { how: 'failed', error: call.abortedWith ?? error }),
      )
      if (this.#stoppedWith) this.#stop(running, this.#stoppedWith)
      else this.#setTimer()
    })
  }

  /** Tells all of them to give up; those that do not react in time are left behind. */
  stop(reason: Error): void {
    this.#stoppedWith = reason
    this.#timer?.abort()
    for (const running of this.#running) this.#stop(running, reason)
  }

  #stop(running: Running, reason: Error): void {
    running.call.stop(reason)
    this.#leaveBehindLater(running, { how: 'stopped' })
  }

  #setTimer(): void {
    const oldest = this.#inTime.values().next()
    if (this.#timer || oldest.done) return
    const timer = new AbortController()
    this.#timer = timer
    const { clock } = this.#environment
    void clock.sleep(Math.max(0, oldest.value.deadlineMs - clock.now()), timer.signal).then(() => this.#onTime(timer.signal))
  }

  #onTime({ aborted }: AbortSignal): void {
    this.#timer = undefined
    if (aborted) return
    this.#giveUpLateOnes()
    this.#setTimer()
  }

  #giveUpLateOnes(): void {
    const nowMs = this.#environment.clock.now()
    for (const running of this.#inTime) {
      if (running.deadlineMs > nowMs) return
      const error = new HandlerTimeoutError(this.#handler, this.#timeoutMs)
      const straggler = running.call.pending!.catch(() => undefined)
      this.#inTime.delete(running)
      running.call.abort(error)
      this.#leaveBehindLater(running, { how: 'failed', error, straggler })
    }
  }

  #leaveBehindLater({ end, ended }: Running, how: AttemptEnd): void {
    void this.#environment.clock.sleep(reactWithinMs, ended.signal).then(() => end(how))
  }
}
