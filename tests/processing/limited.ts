import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { expect, onTestFinished } from 'vitest'
import { defineEvent } from '../../src/message/event.ts'
import { environment } from '../../src/observability/environment.ts'
import { silentLog } from '../../src/observability/log.ts'
import { jsonSchema } from '../../src/schema/json-schema.ts'
import type { OutgoingMessage } from '../../src/transport/port.ts'
import type { Topic } from '../../src/transport/topic.ts'
import { defineTopic } from '../../src/transport/topic.ts'
import { encodeMessage } from '../../src/transport/wire.ts'
import { eventually } from '../support/eventually.ts'
import type { Figures, Orders } from './limited-process.ts'
import type { TransportPlace } from './transport-places.ts'
import { openTransport } from './transport-places.ts'

/** A process with little memory that handles `Asked`. It ends with the test. */
export class LimitedProcess {
  readonly #child
  #figures: Figures | undefined
  /** How often in a row it has said that it takes no more memory than this. */
  #sameCount = 0
  #sameBytes = 0

  /** `heapMb`: of V8. What does not fit in ends the process. */
  constructor(heapMb: number, ...places: readonly unknown[]) {
    const program = join(import.meta.dirname, 'limited-process.ts')
    const options = ['--conditions=headwater-source', `--max-old-space-size=${heapMb}`, '--max-semi-space-size=4']
    this.#child = spawn(process.execPath, [...options, program, ...places.map((place) => JSON.stringify(place))], {
      stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
    })
    this.#child.on('message', (figures: Figures) => {
      this.#figures = figures
      this.#sameCount++
      if (figures.peakRssBytes <= this.#sameBytes + 1e6) return
      this.#sameCount = 0
      this.#sameBytes = figures.peakRssBytes
    })
    const ended = once(this.#child, 'exit')
    onTestFinished(async () => {
      this.#child.kill('SIGKILL')
      await ended
    })
  }

  order(orders: Orders): void {
    // One that has ended is noticed by who waits for it.
    if (this.#child.connected) this.#child.send(orders, () => {})
  }

  /** When it has taken in all that it will: for many turns of its own it takes no more memory, however slow the machine is. */
  async isFull(): Promise<Figures> {
    await eventually(() => expect(this.#sameCount).toBeGreaterThan(50))
    return this.#figures!
  }

  async hasHandled(count: number, withinMs = 60_000): Promise<Figures> {
    let end: string | number | null = null
    const figures = await eventually(() => {
      end = this.#child.exitCode ?? this.#child.signalCode
      if (end !== null) return undefined
      expect(this.#figures?.handled).toBeGreaterThanOrEqual(count)
      return this.#figures
    }, withinMs)
    if (!figures) throw new Error(`the process ended with ${end}`)
    return figures
  }
}

const Asked = defineEvent('Asked', jsonSchema<{ key: string; text: string }>({ type: 'object' }))
let names = 0

/** A topic with a group for the process, and how to publish on it. */
export async function topicFor(
  place: TransportPlace,
): Promise<{ readonly topic: Topic; publish(messages: readonly OutgoingMessage[]): Promise<void> }> {
  const topic = defineTopic(`limited-${process.pid}-${Date.now().toString(36)}-${++names}`, {
    events: [Asked],
    partitions: 1,
    key: ({ data }) => (data as { key: string }).key,
  })
  const connection = await openTransport(place).connect({ environment: environment({ log: silentLog }), clientName: 'limited' })
  onTestFinished(() => connection.close())
  await connection.ensureTopic(topic.spec)
  await connection.ensureGroup(topic.name, 'working.work', {
    at: connection.capabilities.startAt.includes('beginning') ? 'beginning' : 'end',
  })
  const publish = async (messages: readonly OutgoingMessage[]): Promise<void> => {
    for (const outcome of await connection.publish(topic.name, messages)) if (!outcome.ok) throw outcome.error
  }
  return { topic, publish }
}

export interface Item {
  readonly n: number
  readonly key: string
  readonly text: string
}

export function itemsOf(from: number, to: number, bytes: number): readonly Item[] {
  return Array.from({ length: to - from }, (_, index) => {
    const n = from + index
    return { n, key: `k${n % 50}`, text: `${n} `.padEnd(bytes, 'abcdefghij') }
  })
}

export function messageOf({ n, ...data }: Item, topic: Topic): OutgoingMessage {
  const id = `m${n}`
  const identity = { id, source: 'elsewhere', correlationId: id, causationId: id, time: new Date(0) }
  const place = { stream: `asked:${data.key}`, version: 1, position: n + 1, type: 'Asked', schemaVersion: 1 }
  return encodeMessage({ ...identity, ...place, data, metadata: {}, tags: [] }, topic)
}
