import type { OutgoingMessage, PublishOutcome, TransportConnection } from '../../src/transport/port.ts'

interface Pending {
  readonly message: OutgoingMessage
  readonly call: Call
  readonly index: number
}

interface Call {
  readonly outcomes: PublishOutcome[]
  left: number
  settle(outcomes: readonly PublishOutcome[]): void
}

/**
 * A broker that does nothing by itself: the test says which message it writes, and when. It keeps what the port promises and no more: of each key the order, and
 * nothing behind a message that was not confirmed, of those that were handed over before the call of it was answered.
 */
export class HeldBroker {
  /** Ids in the order in which they were written, repetitions included. */
  readonly written: string[] = []
  /** How many messages each call had. */
  readonly calls: number[] = []
  /** Ids that are not taken. */
  readonly refused: Set<string> = new Set()
  #pending: Pending[] = []

  get connection(): TransportConnection {
    const connection: Pick<TransportConnection, 'publish'> = { publish: (_topic, messages) => this.#publish(messages) }
    return connection as TransportConnection
  }

  /** Handed over, and neither confirmed nor refused. */
  get pending(): readonly string[] {
    return this.#pending.map(({ message }) => message.id)
  }

  /** Writes one of the messages that may be written now, and says so, or does not: then whoever sent it must believe that it is not. */
  write(choice: number, { confirms = true }: { readonly confirms?: boolean } = {}): void {
    const next = this.#next(choice)
    if (!next) return
    if (this.refused.has(next.message.id)) return this.#settle(next, { ok: false, refused: true, error: new Error('too large') })
    this.written.push(next.message.id)
    if (confirms) this.#settle(next, { ok: true })
    else this.#giveUp(next)
  }

  /** Does not write one of those that may be written now. */
  lose(choice: number): void {
    const next = this.#next(choice)
    if (next) this.#giveUp(next)
  }

  /** Writes all that were handed over, in their order. */
  writeAll(): void {
    while (this.#pending.length > 0) this.write(0)
  }

  /** Confirms one call as a whole. */
  writeCall(number: number): void {
    const calls = [...new Set(this.#pending.map(({ call }) => call))]
    for (const pending of this.#pending.filter(({ call }) => call === calls[number])) {
      this.written.push(pending.message.id)
      this.#settle(pending, { ok: true })
    }
  }

  #publish(messages: readonly OutgoingMessage[]): Promise<readonly PublishOutcome[]> {
    this.calls.push(messages.length)
    return new Promise((settle) => {
      const call: Call = { outcomes: [], left: messages.length, settle }
      for (const [index, message] of messages.entries()) this.#pending.push({ message, call, index })
    })
  }

  #next(choice: number): Pending | undefined {
    const keys = new Set<string | undefined>()
    const ready = this.#pending.filter(({ message: { key } }) => keys.size < keys.add(key).size)
    return ready[choice % ready.length]
  }

  /** As when the time of a call is over: all of it that is open, and what stands behind that. */
  #giveUp({ call }: Pending): void {
    const keys = new Set<string | undefined>()
    const lost = this.#pending.filter((one) => {
      if (one.call === call) keys.add(one.message.key)
      return one.call === call || keys.has(one.message.key)
    })
    for (const one of lost) this.#settle(one, { ok: false, refused: false, error: new Error('not confirmed in time') })
  }

  #settle(pending: Pending, outcome: PublishOutcome): void {
    const { call, index } = pending
    this.#pending = this.#pending.filter((one) => one !== pending)
    call.outcomes[index] = outcome
    if (--call.left === 0) call.settle(call.outcomes)
  }
}
