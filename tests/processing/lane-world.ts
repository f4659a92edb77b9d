import { setImmediate as nextTurn } from 'node:timers/promises'
import { defineEvent } from '../../src/message/event.ts'
import type { Recorded } from '../../src/message/event.ts'
import { InMemoryMetrics } from '../../src/observability/metrics.ts'
import type { DeadLetter } from '../../src/processing/dead-letter.ts'
import { deadLetterCollection } from '../../src/processing/dead-letter.ts'
import { HandlerCaller } from '../../src/processing/handler-call.ts'
import { defineHandler } from '../../src/processing/handler.ts'
import type { HandlerContext, HandlerOptions } from '../../src/processing/handler.ts'
import { LaneRun } from '../../src/processing/lane-run.ts'
import { LeaseKeeper } from '../../src/processing/lease-keeper.ts'
import { LogTail } from '../../src/processing/log-tail.ts'
import type { MessageSource } from '../../src/processing/message-source.ts'
import type { OperatorAction } from '../../src/processing/operator-action.ts'
import { actionCollection } from '../../src/processing/operator-action.ts'
import type { Tenure } from '../../src/processing/processor.ts'
import type { Log } from '../../src/observability/log.ts'
import { silentLog } from '../../src/observability/log.ts'
import { jsonSchema } from '../../src/schema/json-schema.ts'
import { EventStore } from '../../src/storage/event-store.ts'
import type { Storage } from '../../src/storage/port.ts'
import { ManualClock } from '../../src/testing/manual-clock.ts'
import { memory } from '../support/memory-driver.ts'

export interface Item {
  readonly key: string
  readonly n: number
}
const item = jsonSchema<Item>({ type: 'object' })
export const Asked = defineEvent('Asked', item)
export const Done = defineEvent('Done', item)
export type WorkOptions = Partial<HandlerOptions<typeof Asked, typeof Done, never>>
export type Work = (asked: Recorded<typeof Asked>, context: HandlerContext<typeof Done, never>) => void | Promise<void>

/** How one time of running ended. */
interface Running {
  readonly run: LaneRun
  readonly epoch: number
  /** Ends as when the process is told to stop. */
  stop(): Promise<void>
  /** Another one takes over, as when this process is killed or paused; what it still does counts for nothing. */
  replace(): Promise<void>
}

/** A processor in a world without time of its own: what happens, and when, is the test's to say. */
export class LaneWorld {
  readonly clock = new ManualClock()
  readonly metrics = new InMemoryMetrics()
  readonly store: EventStore
  readonly processor = 'handler:h'
  #owners = 0
  #attempt = 1

  static async open(storage: Storage = memory(), log: Log = silentLog): Promise<LaneWorld> {
    const clock = new ManualClock()
    const metrics = new InMemoryMetrics()
    const store = await EventStore.open(storage, { clock, metrics, log, source: 's', random: () => 0.5 })
    return new LaneWorld(store, clock, metrics)
  }

  private constructor(store: EventStore, clock: ManualClock, metrics: InMemoryMetrics) {
    this.store = store
    this.clock = clock
    this.metrics = metrics
  }

  async begin(source: (tenure: Tenure) => MessageSource, options: WorkOptions, work: Work, { abandoned = false } = {}): Promise<Running> {
    const { processor, store } = this
    const owner = `owner-${++this.#owners}`
    const claim = await store.driver.processors.claim({ processor, owner, ttlMs: 1e12, startAt: 0, takesOver: true })
    if (!claim.claimed) throw new Error('not claimed')
    const lost = new AbortController()
    const stopping = new AbortController()
    const tenure: Tenure = {
      lease: { ...claim, processor, abandoned, lost: lost.signal },
      signal: AbortSignal.any([lost.signal, stopping.signal]),
      attempt: this.#attempt,
      moved: () => {},
      live: () => {},
      stumble: async () => void this.#attempt++,
      recover: async () => void (this.#attempt = 1),
    }
    const handler = defineHandler('h', { on: Asked, emits: Done, ...options }, work)
    const caller = new HandlerCaller(handler, store, () => Promise.reject(new Error('no commands here')))
    const context = { store, tail: new LogTail(store), leases: new LeaseKeeper(store) }
    const run = await LaneRun.begin({ caller, source: source(tenure), options: handler.lanes, context, tenure, blockedAt: undefined })
    const ended = run.run().then(
      () => undefined,
      (error: unknown) => error,
    )
    const end = async (controller: AbortController): Promise<void> => {
      controller.abort()
      let isOver = false
      void ended.then(() => (isOver = true))
      await this.until(() => isOver)
    }
    return { run, epoch: claim.epoch, stop: () => end(stopping), replace: () => end(lost) }
  }

  /** Lets everything that can happen without time happen, then moves the time on, until what is looked for is true. */
  async until(look: () => boolean | Promise<boolean>, stepMs = 500): Promise<void> {
    for (let step = 0; step < 2_000; step++) {
      for (let turn = 0; turn < 5; turn++) {
        if (await look()) return
        await nextTurn()
      }
      await this.clock.advance(stepMs)
    }
    throw new Error('it never came to that')
  }

  async steps(count: number, stepMs: number): Promise<void> {
    for (let step = 0; step < count; step++) {
      await nextTurn()
      if (step % 5 === 4) await this.clock.advance(stepMs)
    }
  }

  async letters(): Promise<readonly DeadLetter[]> {
    const found = await this.store.driver.documents.find(deadLetterCollection.id, { where: [], sort: [], limit: 100_000 })
    return found.map(({ document }) => JSON.parse(document) as DeadLetter).toSorted((a, b) => a.position - b.position)
  }

  async answered(id: string): Promise<OperatorAction | undefined> {
    const text = (await this.store.driver.documents.get(actionCollection.id, [id])).get(id)
    return text === undefined ? undefined : (JSON.parse(text) as OperatorAction)
  }

  async checkpoint(): Promise<number> {
    const [info] = await this.store.driver.processors.list()
    return info?.position ?? 0
  }

  /** The numbers done of each key, in the order of the log. */
  async done(): Promise<Readonly<Record<string, readonly number[]>>> {
    const byKey: Record<string, number[]> = {}
    for await (const { data } of this.store.readLog({ types: ['Done'] })) {
      const { key, n } = data as Item
      ;(byKey[key] ??= []).push(n)
    }
    return byKey
  }
}

export function actionFor(
  letter: DeadLetter,
  kind: OperatorAction['kind'],
  id: string,
  content: { readonly data?: unknown } = {},
): OperatorAction {
  const { processor, id: letterId } = letter
  const asked = { by: 'ada', reason: '', requestedAt: '2026-01-01T00:00:00.000Z', state: 'requested', outcome: null, doneAt: null } as const
  return { id, kind, processor, letter: letterId, ...content, ...asked }
}
