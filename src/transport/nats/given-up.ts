import type { StoredMsg } from '@nats-io/jetstream'
import type { Msg } from '@nats-io/transport-node'
import { describeError } from '../../observability/log.ts'
import type { Log } from '../../observability/log.ts'
import type { Client } from './client.ts'
import type { Given } from './holdings.ts'
import { escapeName } from './names.ts'

/** What the server says of a message that it gives up. */
interface Advisory {
  readonly stream_seq: number
  readonly deliveries: number
}

export interface GivenUpEvents {
  rescued(sequence: number, message: Given): void
}

/**
 * Groups give up on no message, and one that does is refused when it is begun with. But a limit (`max_deliver`) can be set while a group is consumed from; then the server drops what
 * it has given out so many times, and says so once. Whoever hears it fetches the message from the stream and goes on with it, so that it ends like any other: finished, or among the
 * dead letters. And the limit is taken away again.
 *
 * Until it is finished, only this process knows of such a message: should it die, only the log has its number.
 */
export function watchGivenUp(client: Client, topic: string, group: string, log: Log, events: GivenUpEvents): { stop(): void } {
  const [stream, consumer] = [escapeName(topic), escapeName(group)]
  const labels = { transport: 'nats', topic, group }
  const fetch = async (advisory: Msg): Promise<void> => {
    const { stream_seq: sequence, deliveries } = advisory.json<Advisory>()
    const text = 'NATS has given up a message, since somebody has set max_deliver of the group; it is fetched, and the limit taken away'
    log('error', text, { ...labels, sequence, deliveries })
    const { consumers, streams } = client.manager
    await consumers.update(stream, consumer, { max_deliver: -1 })
    const stored = await streams.getMessage(stream, { seq: sequence })
    if (stored) events.rescued(sequence, rescuedOf(stored, stream, consumer, deliveries))
    else log('error', 'the message that NATS has given up is not in the stream any more', { ...labels, sequence })
  }
  const rescue = async (advisory: Msg): Promise<void> => {
    try {
      await fetch(advisory)
    } catch (error) {
      log('error', 'a message that NATS has given up could not be fetched', { ...labels, error: describeError(error) })
    }
  }
  // One process of the group is enough.
  const subscription = client.connection.subscribe(`$JS.EVENT.ADVISORY.CONSUMER.MAX_DELIVERIES.${stream}.${consumer}`, {
    queue: 'headwater',
    callback: (error, message) => {
      // Who may not hear of it is no worse off than without it.
      if (error) log('warn', 'this process may not hear of messages that NATS gives up', { ...labels, error: describeError(error) })
      else void rescue(message)
    },
  })
  return { stop: () => subscription.unsubscribe() }
}

/** As if it had been given out once more, with the address to which an answer would have gone, from which its number and time are read. */
function rescuedOf({ data, header, seq, timestamp }: StoredMsg, stream: string, consumer: string, deliveries: number): Given {
  return { reply: `$JS.ACK.${stream}.${consumer}.${deliveries}.${seq}.0.${nanosecondsOf(timestamp)}.0`, headers: header, data }
}

/** Of a time as the server writes it: `2026-11-21T18:00:00.123456789Z`. */
function nanosecondsOf(timestamp: string): string {
  const [seconds = '', fraction = ''] = timestamp.replace('Z', '').split('.')
  return `${BigInt(Date.parse(`${seconds}Z`)) * 1_000_000n + BigInt(fraction.padEnd(9, '0'))}`
}
