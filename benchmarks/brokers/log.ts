import type { OutgoingMessage } from '../../src/transport/port.ts'
import { log } from '../../src/transport/log/index.ts'
import type { Row } from '../harness/bare.ts'
import { bareLoop, bareTable } from '../harness/bare.ts'
import type { Place } from '../harness/place.ts'
import { onPostgres, storageAt } from '../harness/place.ts'
import type { Broker } from './broker.ts'
import { inParts } from './broker.ts'

/** The store's own log, on PostgreSQL: its raw client is one that writes and reads the rows. */
export const logBroker: Broker = {
  name: 'log',
  variable: undefined,
  messages: 200_000,
  published: 50_000,
  async open(_address, lab) {
    const place = await lab.place('postgres')
    const table = await bareTable(place)
    let position = 0
    /** Of the last message of a topic that is done with. */
    let head = 0
    return {
      transport: log(storageAt(place)),
      raw: {
        about:
          'the PostgreSQL client: inserts of 200 rows, one after the other; a loop over the pages of the log that stores no checkpoint',
        async publish(topic, messages, pace) {
          await inParts(messages, 200, 1, async (part) => {
            await table.insertMany(part.map((message) => rowOf(topic, message, ++position)))
            pace.add(part.length)
          })
        },
        async consume(_topic, _group, pace) {
          await bareLoop(place, (payloads) => pace.add(payloads.length), { after: head })
        },
      },
      async remove() {
        head = await headOf(place)
      },
      [Symbol.asyncDispose]: () => table[Symbol.asyncDispose](),
    }
  },
}

async function headOf(place: Place): Promise<number> {
  if (place.store !== 'postgres') return 0
  const [row] = await onPostgres<{ readonly head: string | null }>(place.url, 'SELECT max(position) AS head FROM headwater.events')
  return Number(row!.head)
}

function rowOf(topic: string, { id, key, attributes, headers, body }: OutgoingMessage, position: number): Row {
  const event = {
    type: attributes['type']!,
    data: JSON.stringify({ text: Buffer.from(body).toString() }),
    id,
    source: topic,
    schemaVersion: 1,
    timeMs: Date.now(),
    correlationId: id,
    causationId: id,
    metadata: JSON.stringify({ attributes, headers }),
    tags: [],
  }
  return { position, stream: `${topic}:${key}`, version: position, event }
}
