import type { Environment } from '../../observability/environment.ts'
import type { GroupQueue } from './group-queue.ts'
import type { Held, HeldMessages } from './held.ts'
import { pause } from './retry.ts'
import { maxEntries } from './wire.ts'

const maxRequests = 8

interface Finishing {
  readonly held: Held
  readonly call: FinishCall
}

interface FinishCall {
  left: number
  readonly resolve: () => void
}

/** Deletes what is finished, in requests of ten, whoever finished it. */
export class Finisher {
  readonly #queue: GroupQueue
  readonly #messages: HeldMessages
  readonly #environment: Environment
  #waiting: Finishing[] = []
  #requests = 0
  #isScheduled = false
  #isLast = false

  constructor(queue: GroupQueue, messages: HeldMessages, environment: Environment) {
    this.#queue = queue
    this.#messages = messages
    this.#environment = environment
  }

  /** Resolves when SQS has confirmed it, or is not asked any more: when the time of the messages is up, or at the end. */
  finish(messages: readonly Held[]): Promise<void> {
    if (messages.length === 0) return Promise.resolve()
    const { promise, resolve } = Promise.withResolvers<void>()
    const call = { left: messages.length, resolve }
    for (const held of messages) {
      this.#messages.beginFinishing(held)
      this.#waiting.push({ held, call })
    }
    this.#schedule()
    return promise
  }

  /** From now on each message is tried once. */
  stopTrying(): void {
    this.#isLast = true
  }

  #schedule(): void {
    if (this.#isScheduled) return
    this.#isScheduled = true
    setImmediate(() => {
      this.#isScheduled = false
      while (this.#waiting.length > 0 && this.#requests < maxRequests) {
        this.#requests++
        void this.#delete(this.#waiting.splice(0, maxEntries))
      }
    })
  }

  async #delete(batch: readonly Finishing[]): Promise<void> {
    let unfinished: readonly Finishing[] = batch
    for (let attempt = 0; unfinished.length > 0; attempt++) {
      const { failed } = await this.#queue.delete(unfinished.map(({ held }) => held))
      const nowMs = this.#environment.clock.now()
      const again = failed.length === 0 || this.#isLast ? [] : failed.filter(({ hiddenUntilMs }) => hiddenUntilMs > nowMs)
      const over = again.length === 0 ? unfinished : unfinished.filter(({ held }) => !again.includes(held))
      for (const { held, call } of over) {
        this.#messages.endFinishing(held)
        if (--call.left === 0) call.resolve()
      }
      if (again.length === 0) break
      unfinished = unfinished.filter(({ held }) => again.includes(held))
      await pause(attempt, this.#environment)
    }
    this.#requests--
    if (this.#waiting.length > 0) this.#schedule()
  }
}
