import { uuidv7 } from '../../src/message/id.ts'
import type { NewEvent } from '../../src/message/event.ts'
import { defaultLimits, encodeEvent } from '../../src/storage/encode.ts'
import type { Row } from './bare.ts'

/** An event of the size that events have: about 170 bytes of JSON, some of them quotes. */
export function orderPlaced(): NewEvent {
  return {
    type: 'OrderPlaced',
    data: {
      orderId: uuidv7(),
      total: 12.5,
      currency: 'EUR',
      items: [
        { sku: 'a-1', quantity: 2 },
        { sku: 'b-7', quantity: 1 },
      ],
      customer: `o'neil & "co"`,
    },
  }
}

let positions = 0

/** The same as a row. Ids and JSON are made here too, as every program must make them. */
export function orderRow(stream: string, version: number): Row {
  const event = encodeEvent(orderPlaced(), { source: 'benchmark', nowMs: Date.now() }, defaultLimits)
  return { position: ++positions, stream, version, event }
}

/** Which stream a caller appends to next, and the version that it must be at. */
export type NextStream = (caller: number) => { readonly stream: string; readonly version: number }

export const newStreams: NextStream = () => ({ stream: `order:${uuidv7()}`, version: 0 })

/** Each caller goes round its own ten streams, and knows their versions. */
export function repeatedStreams(): NextStream {
  const callers = new Map<number, { readonly streams: readonly string[]; count: number }>()
  return (caller) => {
    let own = callers.get(caller)
    if (!own) callers.set(caller, (own = { streams: Array.from({ length: 10 }, () => `order:${uuidv7()}`), count: 0 }))
    const count = own.count++
    return { stream: own.streams[count % 10]!, version: Math.floor(count / 10) }
  }
}
