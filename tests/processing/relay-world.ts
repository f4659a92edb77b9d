import { setImmediate as nextTurn } from 'node:timers/promises'
import { defineEvent } from '../../src/message/event.ts'
import { silentLog } from '../../src/observability/log.ts'
import { DeadLetters } from '../../src/processing/dead-letters.ts'
import { LeaseKeeper } from '../../src/processing/lease-keeper.ts'
import { LogTail } from '../../src/processing/log-tail.ts'
import type { Tenure } from '../../src/processing/processor.ts'
import { Relay } from '../../src/processing/relay.ts'
import { jsonSchema } from '../../src/schema/json-schema.ts'
import { EventStore } from '../../src/storage/event-store.ts'
import { ManualClock } from '../../src/testing/manual-clock.ts'
import type { TransportConnection } from '../../src/transport/port.ts'
import type { TopicOptions } from '../../src/transport/topic.ts'
import { defineTopic } from '../../src/transport/topic.ts'
import { memory } from '../support/memory-driver.ts'
import { HeldBroker } from './held-broker.ts'

export interface Item {
  readonly key: string
  readonly n: number
}
export const Asked = defineEvent('Asked', jsonSchema<Item>({ type: 'object' }))
export const Other = defineEvent('Other', jsonSchema<Item>({ type: 'object' }))

/** How one time of relaying goes. */
export interface Relaying {
  readonly relay: Relay
  readonly broker: HeldBroker
  readonly failures: readonly string[]
  /** True since the run has returned. */
  readonly isOver: boolean
  readonly isLive: boolean
  /** Tells the run to end; it does when what it has in flight is answered. */
  stop(): void
  /** Another one takes over; what this one still does counts for nothing. */
  lose(): void
}

/** A relay whose broker does only what the test says, on a store in memory. */
export class RelayWorld {
  readonly clock: ManualClock
  readonly store: EventStore
  readonly letters: DeadLetters
  readonly tail: LogTail
  readonly processor = 'relay:asked'
  #owners = 0
  #count = 0

  static async open(): Promise<RelayWorld> {
    const clock = new ManualClock()
    const store = await EventStore.open(memory(), { clock, log: silentLog, source: 's', random: () => 0.5 })
    const tail = new LogTail(store)
    await tail.start()
    return new RelayWorld(store, tail, clock)
  }

  private constructor(store: EventStore, tail: LogTail, clock: ManualClock) {
    this.store = store
    this.tail = tail
    this.clock = clock
    this.letters = new DeadLetters(store)
  }

  /** Each event has its number as its id: `e1` is the first of the log. */
  async append(keys: readonly string[], isOther = false): Promise<void> {
    const appends = keys.map((key) => {
      const n = ++this.#count
      return { stream: `asked:${key}`, events: (isOther ? Other : Asked)({ key, n }, { id: `e${n}` }) }
    })
    await this.store.appendAll(appends)
  }

  async begin(options: Partial<TopicOptions> = {}, connection?: TransportConnection): Promise<Relaying> {
    const { processor, store, tail } = this
    const claim = await store.driver.processors.claim({
      processor,
      owner: `owner-${++this.#owners}`,
      ttlMs: 1e12,
      startAt: 0,
      takesOver: true,
    })
    if (!claim.claimed) throw new Error('not claimed')
    const lost = new AbortController()
    const stopping = new AbortController()
    const failures: string[] = []
    const state = { isOver: false, isLive: false }
    const tenure: Tenure = {
      lease: { ...claim, processor, abandoned: false, lost: lost.signal },
      signal: AbortSignal.any([lost.signal, stopping.signal]),
      attempt: 1,
      moved: () => {},
      live: () => void (state.isLive = true),
      stumble: async (error, where) => void failures.push(`${where}: ${error instanceof Error ? error.message : String(error)}`),
      recover: async () => {},
    }
    const broker = new HeldBroker()
    const topic = defineTopic('asked', { events: [Asked], ...options })
    const context = { store, tail, leases: new LeaseKeeper(store) }
    const relay = new Relay({ topic, connection: connection ?? broker.connection, context })
    const over = (): void => void (state.isOver = true)
    relay.run(tenure).then(over, (error: unknown) => {
      failures.push(String(error))
      over()
    })
    return {
      relay,
      broker,
      failures,
      get isOver() {
        return state.isOver
      },
      get isLive() {
        return state.isLive
      },
      stop: () => stopping.abort(),
      lose: () => lost.abort(),
    }
  }

  /** Lets happen what can happen without time. */
  async turns(count: number): Promise<void> {
    for (let turn = 0; turn < count; turn++) await nextTurn()
  }

  /** Lets things happen until what is looked for is true, without moving the time. */
  async until(look: () => boolean | Promise<boolean>): Promise<void> {
    for (let turn = 0; turn < 5_000; turn++) {
      if (await look()) return
      await nextTurn()
    }
    throw new Error('it never came to that')
  }

  async checkpoint(): Promise<number> {
    const [info] = await this.store.driver.processors.list()
    return info?.position ?? 0
  }

  async deadPositions(): Promise<readonly number[]> {
    return (await this.letters.list({}, { limit: 1_000 })).documents.map(({ position }) => position)
  }

  async close(): Promise<void> {
    await this.tail.stop()
    await this.store.close()
  }
}
