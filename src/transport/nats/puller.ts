import type { Msg, Subscription } from '@nats-io/transport-node'
import type { Client } from './client.ts'
import { sizeOf } from './wire.ts'

/** A request that waits at the server for so long, and sends signs of life while nothing comes. */
const expiresMs = 10_000
const heartbeatMs = 4_000

/** What is left of a request. The server serves those that wait in turn, a message each, and so is guessed which one a message belongs to. */
interface Request {
  readonly number: number
  messages: number
  bytes: number
  ended?(): void
}

export interface PullerEvents {
  /** A message came. */
  message(message: Msg): void
  /** Something has changed that may allow, or need, another request. */
  changed(): void
  /** The server says why it does not serve a request. */
  refused(code: number, description: string): void
}

/**
 * Asks a durable consumer for messages, in requests whose number and bytes whoever calls decides. It has an inbox of its own; another connection, or another try, is another puller,
 * so that what was asked for before cannot come on top of what is asked for now.
 */
export class Puller {
  readonly #client: Client
  readonly #subject: string
  readonly #events: PullerEvents
  readonly #nowMs: () => number
  readonly #inbox: string
  readonly #subscription: Subscription
  #requests: Request[] = []
  #outstanding = 0
  /** When the last request has ended, at the latest. */
  #untilMs = 0
  #lastNumber = 0
  #heardMs: number

  constructor(client: Client, stream: string, consumer: string, events: PullerEvents, nowMs: () => number) {
    this.#client = client
    this.#subject = `${client.apiPrefix}.CONSUMER.MSG.NEXT.${stream}.${consumer}`
    this.#events = events
    this.#nowMs = nowMs
    this.#heardMs = nowMs()
    this.#inbox = `${client.createInbox()}.`
    this.#subscription = client.connection.subscribe(`${this.#inbox}*`, {
      callback: (error, message) => (error ? this.#events.refused(403, error.message) : this.#arrive(message)),
    })
  }

  /** Messages that may still come. Never too few: the server says how many of a request it leaves undone. */
  get outstanding(): number {
    return this.#outstanding
  }

  /** About so many bytes. */
  get outstandingBytes(): number {
    return this.#requests.reduce((sum, { bytes }) => sum + Math.max(bytes, 0), 0)
  }

  /** A request that is answered by nothing, not even by a sign of life, is one that the server does not know. */
  get isSilent(): boolean {
    return this.#outstanding > 0 && this.#nowMs() - this.#heardMs > 2.5 * heartbeatMs
  }

  /** Without `maxBytes` the next messages come, however large they are. */
  request(messages: number, maxBytes?: number): void {
    this.#ask({ messages, bytes: maxBytes ?? 0 }, { batch: messages, ...(maxBytes !== undefined && { max_bytes: maxBytes }) }, expiresMs)
  }

  /** Asks for what is there now, and resolves when it has come. */
  fetch(messages: number, withinMs: number): Promise<void> {
    return new Promise((resolve) => this.#ask({ messages, bytes: 0, ended: resolve }, { batch: messages }, withinMs))
  }

  /** Asks for nothing more, and resolves when nothing more can come. */
  async end(): Promise<void> {
    this.#forgetRequests()
    if (!this.#subscription.isClosed()) await this.#subscription.drain().catch(() => undefined)
  }

  /** What comes from now on belongs to nobody: the server notices and gives it to somebody else. */
  discard(): void {
    this.#forgetRequests()
    this.#subscription.unsubscribe()
  }

  /** Forgets requests whose end was not heard. */
  expire(): void {
    if (this.#nowMs() > this.#untilMs) this.#forgetRequests()
  }

  #ask(request: Pick<Request, 'messages' | 'bytes' | 'ended'>, options: Readonly<Record<string, number>>, withinMs: number): void {
    if (this.#client.connection.isClosed()) {
      request.ended?.()
      return
    }
    const number = ++this.#lastNumber
    const nowMs = this.#nowMs()
    if (this.#outstanding === 0) this.#heardMs = nowMs
    this.#requests.push({ ...request, number })
    this.#outstanding += request.messages
    this.#untilMs = Math.max(this.#untilMs, nowMs + withinMs + 2_000)
    const signs = withinMs >= 2 * heartbeatMs ? { idle_heartbeat: heartbeatMs * 1e6 } : {}
    const body = JSON.stringify({ ...options, expires: withinMs * 1e6, ...signs })
    this.#client.connection.publish(this.#subject, body, { reply: `${this.#inbox}${number}` })
  }

  #arrive(message: Msg): void {
    this.#heardMs = this.#nowMs()
    if (message.subject.startsWith(this.#inbox)) {
      this.#status(message)
      return
    }
    if (this.#outstanding > 0) this.#outstanding--
    const request = this.#requests.shift()
    if (request) {
      request.messages--
      request.bytes -= sizeOf(message)
      if (request.messages > 0) this.#requests.push(request)
      else request.ended?.()
    }
    this.#events.message(message)
    this.#events.changed()
  }

  #status(message: Msg): void {
    const code = message.headers?.code ?? 0
    if (code === 100) return // a sign of life
    const number = Number(message.subject.slice(this.#inbox.length))
    const request = this.#requests.find((one) => one.number === number)
    const undone = Number(message.headers?.get('Nats-Pending-Messages') || (request?.messages ?? 0))
    this.#outstanding = Math.max(this.#outstanding - undone, 0)
    if (request) this.#end(request)
    // 404 and 408: nothing there, or not within the time of the request.
    if (code !== 404 && code !== 408) this.#events.refused(code, (message.headers?.description ?? '').toLowerCase())
    this.#events.changed()
  }

  #end(request: Request): void {
    this.#requests = this.#requests.filter((one) => one !== request)
    request.ended?.()
  }

  #forgetRequests(): void {
    this.#outstanding = 0
    for (const request of this.#requests) this.#end(request)
  }
}
