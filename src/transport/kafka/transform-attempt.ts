import { isThenable } from '../../message/thenable.ts'
import type { Environment } from '../../observability/environment.ts'
import { TransformTimeoutError } from '../errors.ts'

export interface TransformContext {
  /** 1, 2, 3 … */
  readonly attempt: number
  /**
   * Aborted when the attempt takes longer than `timeoutMs`, and when the partition is taken away or the stage is stopped: nothing of this attempt will be
   * written then.
   */
  readonly signal: AbortSignal
}

export interface TransformAttemptParts {
  readonly group: string
  readonly timeoutMs: number
  readonly environment: Environment
  /** Aborted when the partition is taken away. */
  readonly revoked: AbortSignal
}

/** How long a transform may take to react to its signal before the next attempt begins beside it. */
const reactWithinMs = 5_000

/** One call of a transform, which has its time. */
export class TransformAttempt implements TransformContext {
  readonly attempt: number
  readonly #parts: TransformAttemptParts
  #controller: AbortController | undefined
  #timeout: TransformTimeoutError | undefined

  constructor(attempt: number, parts: TransformAttemptParts) {
    this.attempt = attempt
    this.#parts = parts
  }

  // Made when it is asked for: most transforms have no use for it. Not by `AbortSignal.any`, of which the partition's signal would keep every one.
  get signal(): AbortSignal {
    if (!this.#controller) {
      const { revoked } = this.#parts
      this.#controller = new AbortController()
      if (this.#timeout ?? revoked.aborted) this.#controller.abort(this.#timeout ?? revoked.reason)
      else revoked.addEventListener('abort', this.#onRevoked)
    }
    return this.#controller.signal
  }

  /**
   * What the transform returns, at once if it does so at once. What comes too late is left out: when the time is over, the transform is told by its signal, and the attempt
   * has failed as soon as it has ended, or has not within five seconds.
   * @throws TransformTimeoutError, and what the transform throws
   */
  run(transform: (context: TransformContext) => unknown): unknown {
    const beganMs = this.#parts.environment.clock.now()
    try {
      const returned = transform(this)
      if (isThenable(returned)) return this.#inTime(returned).finally(() => this.#end(beganMs))
      this.#end(beganMs)
      return returned
    } catch (error) {
      this.#end(beganMs)
      throw error
    }
  }

  async #inTime(pending: PromiseLike<unknown>): Promise<unknown> {
    const ended = new AbortController()
    const leftBehind = Promise.withResolvers<undefined>()
    void this.#limit(ended.signal).then(leftBehind.resolve)
    try {
      const returned = await Promise.race([pending, leftBehind.promise])
      if (!this.#timeout) return returned
    } catch (error) {
      throw this.#timeout ?? error
    } finally {
      ended.abort()
    }
    throw this.#timeout
  }

  /** Resolves when the transform is left behind, or has ended. */
  async #limit(ended: AbortSignal): Promise<undefined> {
    const { environment, group, timeoutMs } = this.#parts
    await environment.clock.sleep(timeoutMs, ended)
    if (ended.aborted) return
    this.#timeout = new TransformTimeoutError(group, timeoutMs)
    this.#controller?.abort(this.#timeout)
    await environment.clock.sleep(reactWithinMs, ended)
  }

  #end(beganMs: number): void {
    const { environment, group, revoked } = this.#parts
    if (this.#controller) revoked.removeEventListener('abort', this.#onRevoked)
    const tookMs = environment.clock.now() - beganMs
    environment.metrics.duration('headwater_handler_duration_ms', tookMs, { processor: `transform:${group}` })
  }

  readonly #onRevoked = (): void => this.#controller?.abort(this.#parts.revoked.reason)
}
