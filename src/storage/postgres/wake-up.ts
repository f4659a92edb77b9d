import { randomUUID } from 'node:crypto'
import { setTimeout as delay } from 'node:timers/promises'
import { backoffMs } from '../backoff.ts'
import type { Database } from './database.ts'
import { identifier } from './literal.ts'

const backoff = { firstMs: 200, maxMs: 10_000 }
/** From one NOTIFY to the next. It is a transaction like any other: under load there would be one more for each commit, and nobody any earlier. */
const announcePauseMs = 5
/** How long a wake-up of our own may be under way before we believe that none ever arrives. */
const echoTimeoutMs = 5_000

/** Wake-ups between processes by NOTIFY. They are hints, what is lost is found by polling, so that nothing here fails for anybody. */
export class WakeUp {
  readonly #database: Database
  readonly #channel: string
  readonly #onNotice: (message: string) => void
  /** Stands in what we send, to be told from what others do. */
  readonly #sender: string = randomUUID()
  readonly #stops = new Set<() => Promise<void>>()
  readonly #closing = new AbortController()
  #announced: number | undefined
  #sending: Promise<void> | undefined

  constructor(database: Database, channel: string, onNotice: (message: string) => void) {
    this.#database = database
    this.#channel = channel
    this.#onNotice = onNotice
  }

  /** Resolves when it listens, or when the first attempt to do so has failed; from then on it tries in the background. */
  async listen(onCommit: () => void): Promise<() => Promise<void>> {
    const stopping = new AbortController()
    const { promise: tried, resolve: hasTried } = Promise.withResolvers<void>()
    // A connection that is being given back may still deliver something.
    const wake = (): void => {
      if (!stopping.signal.aborted) onCommit()
    }
    const running = this.#keepListening(wake, hasTried, stopping.signal)
    const stop = async (): Promise<void> => {
      this.#stops.delete(stop)
      stopping.abort()
      await running
    }
    this.#stops.add(stop)
    await tried
    return stop
  }

  /** At once, unless one was sent just now: then, a moment later, for the last position that came meanwhile. */
  announce(position: number): void {
    this.#announced = position
    this.#sending ??= this.#send()
  }

  /** What has been announced is still sent. */
  async close(): Promise<void> {
    this.#closing.abort()
    await Promise.all([...[...this.#stops].map((stop) => stop()), this.#sending])
  }

  async #send(): Promise<void> {
    while (this.#announced !== undefined) {
      const position = this.#announced
      this.#announced = undefined
      await this.#database.notify(this.#channel, `${this.#sender} ${position}`).catch(() => undefined)
      await delay(announcePauseMs, undefined, { signal: this.#closing.signal, ref: false }).catch(() => undefined)
    }
    this.#sending = undefined
  }

  async #keepListening(onCommit: () => void, hasTried: () => void, signal: AbortSignal): Promise<void> {
    let failures = 0
    while (!signal.aborted) {
      const onListening = (): void => {
        failures = 0
        hasTried()
        // Whatever was announced while nobody listened.
        onCommit()
      }
      const obstacle = await this.#listenOnce(onCommit, onListening, signal).catch(() => undefined)
      hasTried()
      if (obstacle) {
        this.#onNotice(`${obstacle}: new events of other processes are found by polling`)
        return
      }
      if (!signal.aborted)
        await delay(backoffMs(failures++, backoff, Math.random), undefined, { signal, ref: false }).catch(() => undefined)
    }
  }

  /** Until the connection ends or `signal` is aborted. Returns why it makes no sense to try again, if it turned out so. */
  async #listenOnce(onCommit: () => void, onListening: () => void, signal: AbortSignal): Promise<string | undefined> {
    const listener = await this.#database.connectListener()
    if (!listener) return 'the pool has no connection that could be kept for LISTEN'
    let obstacle: string | undefined
    const stop = (): void => listener.end()
    const echo = new AbortController()
    try {
      const ended = new Promise<void>((resolve) => listener.onEnd(resolve))
      if (signal.aborted) return undefined
      signal.addEventListener('abort', stop, { once: true })
      listener.onNotification(({ channel, payload = '' }) => {
        if (channel !== this.#channel) return
        if (!payload.startsWith(this.#sender)) onCommit()
        else echo.abort()
      })
      await listener.query({ text: `LISTEN ${identifier(this.#channel)}` })
      onListening()
      void this.#listenForEcho(echo.signal, () => {
        obstacle = 'LISTEN does not work on this connection, which seems to go through a pooler in transaction mode'
        stop()
      })
      await ended
      return obstacle
    } finally {
      echo.abort()
      signal.removeEventListener('abort', stop)
      listener.end()
    }
  }

  /** Sends a wake-up to ourselves. `echo` is aborted by its arrival. */
  async #listenForEcho(echo: AbortSignal, onSilence: () => void): Promise<void> {
    try {
      await this.#database.notify(this.#channel, this.#sender)
      await delay(echoTimeoutMs, undefined, { signal: echo, ref: false })
    } catch {
      return // It came; or it could not be sent, and the connection has other troubles.
    }
    onSilence()
  }
}
