import type { OutgoingMessage, Transport } from '../../src/transport/port.ts'
import type { Lab } from '../harness/lab.ts'
import type { Pace } from '../harness/pace.ts'

/** A kind of broker, as Headwater and as its own client library speak to it. */
export interface Broker {
  readonly name: string
  /** Where a run finds it. Undefined: it needs nothing that the lab does not have. */
  readonly variable: string | undefined
  /** So many are consumed at a time: many more than its client fetches ahead. */
  readonly messages: number
  /** So many are published at a time: several pages of a relay. */
  readonly published: number
  /** Of the topics of a benchmark, where there is a choice. */
  readonly partitions?: number
  /** The client fetches tens of thousands of messages at once: consuming is timed from its beginning, joining included. */
  readonly fetchesFar?: boolean
  /** What the pipeline must reach of the raw client's speed. */
  readonly pipelineBar?: number
  open(address: string, lab: Lab): Promise<OpenBroker>
}

export interface OpenBroker extends AsyncDisposable {
  readonly transport: Transport
  readonly raw: RawClient
  /** What the broker keeps of a topic and its groups. */
  remove(topic: string, groups: readonly string[]): Promise<void>
}

/** The client library, used as its documentation shows, with as much under way as makes it fast. */
export interface RawClient {
  /** What it does that is to be known, for the notes. */
  readonly about: string
  /** Sends them in their order, and counts those that the broker has confirmed. */
  publish(topic: string, messages: readonly OutgoingMessage[], pace: Pace): Promise<void>
  /** Takes messages in a group that is there, parses the JSON of each, acknowledges it and counts it, until all are through. */
  consume(topic: string, group: string, pace: Pace): Promise<void>
}

/** Calls `send` for parts of the list, in their order, so many at a time. */
export async function inParts<T>(
  all: readonly T[],
  size: number,
  atOnce: number,
  send: (part: readonly T[]) => Promise<unknown>,
): Promise<void> {
  let next = 0
  const run = async (): Promise<void> => {
    while (next < all.length) {
      const part = all.slice(next, (next += size))
      await send(part)
    }
  }
  await Promise.all(Array.from({ length: atOnce }, run))
}
