import type { StoredMsg } from '@nats-io/jetstream'
import type { Msg, Subscription } from '@nats-io/transport-node'
import type { Environment } from '../../observability/environment.ts'
import { describeError } from '../../observability/log.ts'
import type { Client } from './client.ts'
import type { Held, Holdings } from './holdings.ts'
import { escapeName } from './names.ts'
import type { Given } from './wire.ts'

/** What the server says of a message that it gives up. */
interface Advisory {
  readonly stream_seq: number
  readonly deliveries: number
}

export interface GivenUpParts {
  readonly client: Client
  readonly environment: Environment
  readonly topic: string
  readonly group: string
  readonly holdings: Holdings
  /** Some can be read. */
  arrived(): void
}

/**
 * Groups give up on no message, and one that does is refused when it is begun with. But a limit (`max_deliver`) can be set while a group is consumed from; then the server drops what
 * it has given out so many times, and says so once. Whoever hears it fetches the message from the stream and goes on with it, so that it ends like any other: finished, or among the
 * dead letters. And the limit is taken away again.
 *
 * Until it is finished, only this process knows of such a message: should it die, only the log has its number.
 */
export class GivenUp {
  readonly #parts: GivenUpParts
  readonly #labels: Readonly<Record<string, string>>
  /** By their numbers, until they are finished. */
  readonly #rescued = new Set<number>()
  readonly #stopping = new AbortController()
  readonly #subscription: Subscription

  constructor(parts: GivenUpParts) {
    this.#parts = parts
    const { client, environment, topic, group } = parts
    this.#labels = { transport: 'nats', topic, group }
    const subject = `$JS.EVENT.ADVISORY.CONSUMER.MAX_DELIVERIES.${escapeName(topic)}.${escapeName(group)}`
    this.#subscription = client.connection.subscribe(subject, {
      // One process of the group is enough.
      queue: 'headwater',
      callback: (error, message) => {
        if (!error) return void this.#hear(message)
        // Who may not hear of it is no worse off than without it.
        const text = 'this process may not hear of messages that NATS gives up'
        environment.log('warn', text, { ...this.#labels, error: describeError(error) })
      },
    })
  }

  finished(held: readonly Held[]): void {
    if (this.#rescued.size > 0) for (const { sequence } of held) this.#rescued.delete(sequence)
  }

  /** These were given back to the server, which does not give to others what it has given up. */
  left(held: readonly Pick<Held, 'sequence'>[]): void {
    const sequences = held.flatMap(({ sequence }) => (this.#rescued.has(sequence) ? [sequence] : []))
    if (sequences.length === 0) return
    const text = 'messages that NATS had given up are left unfinished, and lost to the group'
    this.#parts.environment.log('error', text, { ...this.#labels, sequences })
  }

  stop(): void {
    this.#stopping.abort()
    this.#subscription.unsubscribe()
  }

  async #hear(advisory: Msg): Promise<void> {
    const { log } = this.#parts.environment
    try {
      const { stream_seq: sequence, deliveries } = advisory.json<Advisory>()
      const text = 'NATS has given up a message, since somebody has set max_deliver of the group; it is fetched, and the limit taken away'
      log('error', text, { ...this.#labels, sequence, deliveries })
      await this.#rescue(sequence, deliveries)
    } catch (error) {
      log('error', 'a message that NATS has given up could not be fetched', { ...this.#labels, error: describeError(error) })
    }
  }

  async #rescue(sequence: number, deliveries: number): Promise<void> {
    const { client, environment, topic, group } = this.#parts
    const { consumers, streams } = client.manager
    const [stream, consumer] = [escapeName(topic), escapeName(group)]
    await consumers.update(stream, consumer, { max_deliver: -1 })
    const stored = await streams.getMessage(stream, { seq: sequence })
    if (stored) {
      this.#rescued.add(sequence)
      await this.#take(asGiven(stored, stream, consumer, deliveries))
    } else environment.log('error', 'the message that NATS has given up is not in the stream any more', { ...this.#labels, sequence })
  }

  /** It is in order with what nobody has read yet. What is not due waits here, since the server does not keep it any more. */
  async #take(message: Given): Promise<void> {
    const { environment, holdings, arrived } = this.#parts
    const { clock } = environment
    for (;;) {
      const arrival = holdings.arrive(message, clock.now())
      if (typeof arrival !== 'object') return arrived()
      await clock.sleep(arrival.dueMs - clock.now(), this.#stopping.signal)
      if (this.#stopping.signal.aborted) return this.left([arrival])
    }
  }
}

/** As if it had been given out once more, with the address to which an answer would have gone, from which its number and time are read. */
function asGiven({ data, header, seq, subject, timestamp }: StoredMsg, stream: string, consumer: string, deliveries: number): Given {
  return { subject, reply: `$JS.ACK.${stream}.${consumer}.${deliveries}.${seq}.0.${nanosecondsOf(timestamp)}.0`, headers: header, data }
}

/** Of a time as the server writes it: `2026-11-21T18:00:00.123456789Z`. */
function nanosecondsOf(timestamp: string): string {
  const [seconds = '', fraction = ''] = timestamp.replace('Z', '').split('.')
  return `${BigInt(Date.parse(`${seconds}Z`)) * 1_000_000n + BigInt(fraction.padEnd(9, '0'))}`
}
