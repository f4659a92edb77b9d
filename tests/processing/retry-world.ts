import { setImmediate as nextTurn } from 'node:timers/promises'
import { defineEvent } from '../../src/message/event.ts'
import type { Recorded, RecordedEvent } from '../../src/message/event.ts'
import { silentLog } from '../../src/observability/log.ts'
import { InMemoryMetrics } from '../../src/observability/metrics.ts'
import { defineHandler } from '../../src/processing/handler.ts'
import type { HandlerContext, HandlerOptions } from '../../src/processing/handler.ts'
import { jsonSchema } from '../../src/schema/json-schema.ts'
import { defineService } from '../../src/service/service.ts'
import type { Storage } from '../../src/storage/port.ts'
import { ManualClock } from '../../src/testing/manual-clock.ts'
import type { OutgoingMessage, PublishOutcome, Transport, TransportConnection } from '../../src/transport/port.ts'
import type { TopicOptions } from '../../src/transport/topic.ts'
import { defineTopic } from '../../src/transport/topic.ts'
import { encodeMessage } from '../../src/transport/wire.ts'
import { MemoryBroker } from '../conformance/memory-transport.ts'
import type { ModelOptions } from '../conformance/memory-topic.ts'
import { startForTest } from '../support/apps.ts'
import { freshSqlite } from '../support/stores.ts'
import { aroundCommits } from '../support/wrapped-storage.ts'

export interface Item {
  readonly key: string
  readonly n: number
}
const item = jsonSchema<Item>({ type: 'object', required: ['key', 'n'] })
export const Asked = defineEvent('Asked', item)
export const Done = defineEvent('Done', item)

type Options = Partial<HandlerOptions<typeof Asked, typeof Done, never>>
type Work = (asked: Recorded<typeof Asked>, context: HandlerContext<typeof Done, never>) => void | Promise<void>

export interface Sent {
  readonly topic: string
  readonly message: OutgoingMessage
  readonly atMs: number
}

/** One attempt of the handler. */
export interface Call {
  readonly n: number
  readonly attempt: number
  readonly atMs: number
  readonly event: RecordedEvent
  readonly idempotencyKey: string
}

export interface WorldOptions extends Pick<ModelOptions, 'ordering'> {
  readonly aroundCommits?: Parameters<typeof aroundCommits>[1]
  readonly topic?: Partial<TopicOptions>
  /** What becomes of a message that the service publishes; default: it is published. */
  readonly refuse?: (topic: string, message: OutgoingMessage) => PublishOutcome | undefined
  /** The broker has a message, and has not said so yet. Default: it says so at once. */
  readonly confirms?: (topic: string) => Promise<void>
  readonly maxDelayMs?: number
}

/** A service with one handler that has retry topics, over a broker without time of its own. */
export class RetryWorld {
  readonly clock = new ManualClock()
  readonly metrics = new InMemoryMetrics()
  /** What the service has published, as it was given to the broker. */
  readonly sent: Sent[] = []
  readonly calls: Call[] = []
  readonly topic
  readonly #broker: MemoryBroker
  readonly #options: WorldOptions
  readonly #storage: Storage

  /** In a store that needs no time to be asked. */
  static async open(options: WorldOptions): Promise<RetryWorld> {
    const storage = await freshSqlite()
    return new RetryWorld(options, options.aroundCommits ? aroundCommits(storage, options.aroundCommits) : storage)
  }

  private constructor(options: WorldOptions, storage: Storage) {
    this.#options = options
    this.#broker = new MemoryBroker({ ordering: options.ordering })
    this.#storage = storage
    this.topic = defineTopic('t', { events: [Asked], partitions: 2, ...options.topic })
  }

  async start(options: Options, work: Work) {
    const handler = defineHandler('work', { on: Asked, emits: Done, ...options }, (event, ctx) => {
      const { attempt, idempotencyKey } = ctx
      this.calls.push({ n: event.data.n, attempt, atMs: this.clock.now(), event, idempotencyKey })
      return work(event, ctx)
    })
    const { clock, metrics } = this
    const service = defineService('s', { handlers: [handler], subscribes: [this.topic] })
    return startForTest(service, {
      storage: this.#storage,
      transport: this.#transport(),
      clock,
      metrics,
      log: silentLog,
      leaseMs: 1_000,
      random: () => 0.5,
    })
  }

  async ask(...items: readonly Item[]): Promise<void> {
    await this.publish(...items.map((data) => encodeMessage(askedEvent(data), this.topic)))
  }

  publish(...messages: readonly OutgoingMessage[]): Promise<void> {
    return this.publishTo(this.topic.name, ...messages)
  }

  async publishTo(topic: string, ...messages: readonly OutgoingMessage[]): Promise<void> {
    const connection = await this.#broker.connect()
    for (const outcome of await connection.publish(topic, messages)) if (!outcome.ok) throw outcome.error
  }

  sentTo(topic: string): readonly OutgoingMessage[] {
    return this.sent.filter((one) => one.topic === topic).map(({ message }) => message)
  }

  /** Which attempts were made of a message. */
  attemptsOf(n: number): readonly number[] {
    return this.calls.filter((call) => call.n === n).map(({ attempt }) => attempt)
  }

  /** Lets everything that can happen without time happen. */
  async settle(): Promise<void> {
    for (let turn = 0; turn < 50; turn++) await nextTurn()
  }

  /** The same, and moves the time on, until what is looked for is true. */
  async until(look: () => boolean | Promise<boolean>, stepMs = 10): Promise<void> {
    for (let step = 0; step < 5_000; step++) {
      for (let turn = 0; turn < 10; turn++) {
        if (await look()) return
        await nextTurn()
      }
      await this.clock.advance(stepMs)
    }
    throw new Error('it never came to that')
  }

  /** The broker as the service sees it. */
  #transport(): Transport {
    const { refuse, confirms, maxDelayMs = 0 } = this.#options
    const publish = async (
      connection: TransportConnection,
      topic: string,
      messages: readonly OutgoingMessage[],
    ): Promise<PublishOutcome[]> => {
      const outcomes: PublishOutcome[] = []
      for (const message of messages) {
        const refused = refuse?.(topic, message)
        if (refused) {
          outcomes.push(refused)
          continue
        }
        this.sent.push({ topic, message, atMs: this.clock.now() })
        const { delayMs = 0, ...withoutDelay } = message
        if (delayMs > maxDelayMs) throw new Error(`${delayMs} ms is more than this broker can put off`)
        void this.clock.sleep(delayMs).then(() => connection.publish(topic, [withoutDelay]))
        await confirms?.(topic)
        outcomes.push({ ok: true })
      }
      return outcomes
    }
    return {
      name: 'memory',
      connect: async () => {
        const connection = await this.#broker.connect()
        return {
          ...connection,
          capabilities: { ...connection.capabilities, maxDelayMs },
          publish: (topic, messages) => publish(connection, topic, messages),
        }
      },
    }
  }
}

export function askedEvent(data: Item): RecordedEvent {
  const id = `m${data.n}`
  const place = { stream: `asked:${data.key}`, version: 1, position: data.n + 1, type: 'Asked', schemaVersion: 1, source: 'elsewhere' }
  return { ...place, id, time: new Date(0), data, correlationId: id, causationId: id, metadata: {}, tags: [] }
}
