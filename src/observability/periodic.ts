import type { Environment } from './environment.ts'
import { describeError } from './log.ts'

export interface PeriodicOptions {
  readonly environment: Environment
  /** From the end of one time to the beginning of the next. */
  readonly everyMs: number
  /** What is said when it fails. */
  readonly complaint: string
  readonly work: () => Promise<unknown>
}

/** Does something again and again until it is stopped, for the first time after a pause. When it fails, that is said, and the next time comes all the same. */
export class Periodic {
  readonly #options: PeriodicOptions
  readonly #stopping = new AbortController()
  #running: Promise<void> | undefined

  constructor(options: PeriodicOptions) {
    this.#options = options
  }

  /** Aborted when it is to stop: long work ends early. */
  get signal(): AbortSignal {
    return this.#stopping.signal
  }

  start(): void {
    this.#running ??= this.#run()
  }

  /** Resolves when what is under way has ended. */
  async stop(): Promise<void> {
    this.#stopping.abort()
    await this.#running
  }

  async #run(): Promise<void> {
    const { complaint, environment, everyMs, work } = this.#options
    for (;;) {
      await environment.clock.sleep(everyMs, this.signal)
      if (this.signal.aborted) return
      await work().catch((error: unknown) => environment.log('warn', complaint, { error: describeError(error) }))
    }
  }
}
