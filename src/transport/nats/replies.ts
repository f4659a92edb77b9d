import type { NatsConnection } from '@nats-io/transport-node'
import type { Held } from './holdings.ts'

const finished = '+ACK'
const notFinished = '-NAK'
const inProgress = '+WPI'

/** What the server is told about messages that it gave out. It answers nothing to it, so that what may have been lost with a connection is told once more. */
export class Replies {
  readonly #connection: NatsConnection
  /** Acknowledgements that the server may not have got, with where they go. */
  readonly #unconfirmed = new Map<number, string>()

  constructor(connection: NatsConnection) {
    this.#connection = connection
  }

  /** Resolves when the server has got it, or the connection is lost. */
  async acknowledge(messages: readonly Held[]): Promise<void> {
    for (const { reply, sequence } of messages) {
      this.#unconfirmed.set(sequence, reply)
      this.#say(reply, finished)
    }
    try {
      await this.#connection.flush()
      for (const { sequence } of messages) this.#unconfirmed.delete(sequence)
    } catch {
      // It is told again over the next connection.
    }
  }

  /** Of a message that the server gives once more. */
  acknowledgeAgain(reply: string): void {
    this.#say(reply, finished)
  }

  /** Tells it again over a new connection. */
  async repeat(): Promise<void> {
    const repeated = [...this.#unconfirmed]
    for (const [, reply] of repeated) this.#say(reply, finished)
    await this.#connection.flush()
    for (const [sequence] of repeated) this.#unconfirmed.delete(sequence)
  }

  giveBack(messages: readonly Held[]): void {
    for (const { reply } of messages) this.#say(reply, notFinished)
  }

  /** The server gives it out again when this time has passed. */
  postpone(reply: string, delayMs: number): void {
    this.#say(reply, `${notFinished} {"delay":${Math.ceil(delayMs) * 1e6}}`)
  }

  keep(messages: readonly Held[]): void {
    for (const { reply } of messages) this.#say(reply, inProgress)
  }

  #say(reply: string, what: string): void {
    try {
      this.#connection.publish(reply, what)
    } catch {
      // The connection is closed: the server gives the messages to somebody else when it has heard nothing of them for long enough.
    }
  }
}
