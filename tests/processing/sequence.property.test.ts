import type * as Timers from 'node:timers/promises'
import fc from 'fast-check'
import { expect, test, vi } from 'vitest'
import type { Log } from '../../src/observability/log.ts'
import type { MetricName } from '../../src/observability/metrics.ts'
import type { Delivery } from '../../src/processing/lane-options.ts'
import { PermanentError } from '../../src/processing/retry.ts'
import type { Sent } from './broker-model.ts'
import { BrokerModel } from './broker-model.ts'
import type { Work, WorkOptions } from './lane-world.ts'
import { actionFor, LaneWorld } from './lane-world.ts'

// The store in memory answers after a turn of the event loop instead of after a millisecond: thousands of them make one test.
vi.mock('node:timers/promises', async (original) => {
  const timers = await original<typeof Timers>()
  return { ...timers, setTimeout: (ms: number) => (ms === 0 ? timers.setImmediate() : timers.setTimeout(ms)) }
})

const keys = ['a', 'b', 'c'] as const
type Key = (typeof keys)[number]

interface Plan {
  readonly key: Key
  readonly how: 'ok' | 'ok later' | 'fails once' | 'fails for good' | 'for others' | 'unreadable'
  readonly isLost: boolean
  /** Sent again, so many messages later; under another id it is another message that claims the same number. */
  readonly copyAfter: number
  readonly isTwin: boolean
  /** Comes so many messages later than its turn. */
  readonly late: number
}
const ordinary = fc.record({
  key: fc.constantFrom(...keys),
  how: fc.constantFrom<Plan['how']>(
    'ok',
    'ok',
    'ok later',
    'ok later',
    'fails once',
    'fails for good',
    'for others',
    'for others',
    'unreadable',
  ),
  isLost: fc.constant(false),
  copyAfter: fc.integer({ min: 0, max: 16 }),
  isTwin: fc.constant(false),
  late: fc.integer({ min: 0, max: 12 }),
})
const troubled = fc.record({
  key: fc.constantFrom(...keys),
  how: fc.constantFrom<Plan['how']>('ok', 'ok later', 'fails once', 'fails for good', 'for others', 'unreadable'),
  isLost: fc.integer({ min: 0, max: 6 }).map((value) => value === 0),
  copyAfter: fc.integer({ min: 0, max: 16 }),
  isTwin: fc.boolean(),
  late: fc.oneof(fc.integer({ min: 0, max: 6 }), fc.integer({ min: 0, max: 40 })),
})
const circumstances = {
  endings: fc.array(fc.record({ how: fc.constantFrom('stop', 'replace', 'replace unseen'), afterSteps: fc.integer({ min: 1, max: 60 }) }), {
    maxLength: 5,
  }),
  concurrency: fc.constantFrom(1, 3, 16),
  pageSize: fc.constantFrom(1, 4, 100),
  stepMs: fc.constantFrom(1, 50, 2_000),
  lanes: fc.constantFrom<Lanes>('stream', 'stream', 'coarser', 'finer'),
}
/** By what the handler keeps order: a finer key than the stream asks for none within it. */
type Lanes = 'stream' | 'coarser' | 'finer'

const patient = fc.record({ plans: fc.array(ordinary, { minLength: 1, maxLength: 40 }), ...circumstances })
const impatient = fc.record({
  plans: fc.array(troubled, { minLength: 1, maxLength: 40 }),
  ...circumstances,
  waitMs: fc.constantFrom(0, 300, 3_000),
  maxWaiting: fc.constantFrom(1, 3, 1_000),
})
type Scenario = Omit<typeof impatient extends fc.Arbitrary<infer T> ? T : never, 'waitMs' | 'maxWaiting'> & {
  readonly waitMs?: number
  readonly maxWaiting?: number
}

interface Numbered extends Sent {
  readonly version: number
  readonly plan: Plan
}

/** What is sent, in the order in which it comes. */
function messagesOf(plans: readonly Plan[]): readonly Numbered[] {
  const counts: Partial<Record<Key, number>> = {}
  const coming: { readonly at: number; readonly message: Numbered }[] = []
  for (const [index, plan] of plans.entries()) {
    const { copyAfter, how, isLost, isTwin, key, late } = plan
    const version = (counts[key] = (counts[key] ?? 0) + 1)
    const message = {
      key,
      n: version,
      version,
      id: `${key}${version}`,
      plan,
      isBroken: how === 'unreadable',
      isForOthers: how === 'for others',
    }
    if (isLost) continue
    coming.push({ at: index + late, message })
    if (copyAfter < 8) coming.push({ at: index + late + copyAfter, message: isTwin ? { ...message, id: `${message.id}'` } : message })
  }
  return coming.toSorted((a, b) => a.at - b.at).map(({ message }) => message)
}

/** The numbers that a handler is to get, were nothing lost. */
function wantedOf(plans: readonly Plan[], isWanted: (plan: Plan) => boolean): Record<string, number[]> {
  const counts: Partial<Record<Key, number>> = {}
  const wanted: Record<string, number[]> = {}
  for (const plan of plans) {
    const version = (counts[plan.key] = (counts[plan.key] ?? 0) + 1)
    if (plan.how !== 'for others' && plan.how !== 'unreadable' && isWanted(plan)) (wanted[plan.key] ??= []).push(version)
  }
  return wanted
}

interface LoggedGap {
  readonly stream: string
  readonly expected: number
  readonly found: number
}

const retry = { attempts: 3, firstMs: 100, maxMs: 400 }
const laneKeys: Record<Lanes, Pick<WorkOptions, 'key'>> = {
  stream: {},
  coarser: { key: () => 'all' },
  finer: { key: ({ data }) => `${data.key}${data.n}` },
}

async function runThrough(given: Scenario, kind: 'partition' | 'queue', delivery: Delivery = 'exactly-once') {
  const { plans, endings, concurrency, pageSize, stepMs, lanes, waitMs = 1e9, maxWaiting = 1_000 } = given
  const gaps: LoggedGap[] = []
  const log: Log = (_level, message, fields) => {
    if (message.startsWith('a gap in a sequence')) gaps.push(fields as unknown as LoggedGap)
  }
  const world = await LaneWorld.open(undefined, log)
  const broker = new BrokerModel(kind, () => pageSize, {
    sequenceOrder: { waitMs, maxWaiting, beginsAnywhere: false },
    remembers: delivery !== 'at-least-once',
  })
  const messages = messagesOf(plans)
  const planOf = new Map(messages.map(({ key, version, plan }) => [`${key}${version}`, plan]))
  const tries = new Map<string, number>()
  const calls: string[] = []
  let isHealed = false
  const work: Work = ({ data }, { emit }) => {
    const name = `${data.key}${data.n}`
    const count = (tries.get(name) ?? 0) + 1
    tries.set(name, count)
    calls.push(name)
    const done = (): void => emit({ type: 'Done', data } as never)
    const { how } = planOf.get(name)!
    if (how === 'fails once' && count === 1 && !isHealed) throw new Error('not now')
    if (how === 'fails for good' && !isHealed) throw new PermanentError('never')
    return how === 'ok later' ? world.clock.sleep(1 + (data.n % 7) * 40).then(done) : done()
  }
  const options = { concurrency, retry, delivery, whenExhausted: delivery === 'at-most-once' ? ('discard' as const) : ('park' as const) }
  const begin = (abandoned: boolean) => world.begin(() => broker.source(), { ...options, ...laneKeys[lanes] }, work, { abandoned })
  const middle = endings.length > 0 ? messages.length >> 1 : messages.length
  broker.send(messages.slice(0, middle))
  let current = await begin(false)
  const ending: Promise<void>[] = []
  for (const [index, { how, afterSteps }] of endings.entries()) {
    await world.steps(afterSteps, stepMs)
    if (index === 0) broker.send(messages.slice(middle))
    const last = current
    if (how === 'stop') await last.stop()
    if (how === 'replace') ending.push(last.replace())
    current = await begin(how !== 'stop')
    if (how === 'replace unseen') ending.push(last.replace())
  }
  const sent = new Set(messages.map(({ id }) => id))
  const settled = async (): Promise<boolean> => {
    if (kind === 'queue' ? broker.acknowledged.size < sent.size : (await world.checkpoint()) < messages.length) return false
    const letters = await world.letters()
    const parked = new Set(letters.filter(({ state }) => state === 'parked').map(({ key }) => key))
    return letters.every(({ state, key }) => state === 'dead' || parked.has(key))
  }
  await world.until(settled)
  await Promise.all(ending)
  isHealed = true
  const isRepaired = async (): Promise<boolean> => {
    const letters = await world.letters()
    for (const letter of letters.filter(({ state }) => state === 'parked'))
      current.run.act(actionFor(letter, 'retry', `a${letter.position}`))
    return letters.every(({ state }) => state === 'dead')
  }
  await world.until(isRepaired)
  await current.stop()
  const count = (name: MetricName) => world.metrics.value(name, { processor: world.processor })
  return {
    world,
    calls,
    gaps,
    done: await world.done(),
    gapCount: count('headwater_sequence_gaps_total'),
    staleCount: count('headwater_messages_stale_total'),
    discardedCount: count('headwater_messages_discarded_total'),
  }
}

const sorted = (numbers: readonly number[]) => numbers.toSorted((a, b) => a - b)

for (const kind of ['partition', 'queue'] as const) {
  test(`${kind}: without an inbox, numbers tell what was handled`, { timeout: 120_000 }, async () => {
    await fc.assert(
      fc.asyncProperty(patient, async (given) => {
        const { done, gapCount } = await runThrough({ ...given, lanes: 'stream' }, kind, 'at-least-once')
        expect(done).toEqual(wantedOf(given.plans, () => true))
        expect(gapCount).toBe(0)
      }),
      { numRuns: 100 },
    )
  })

  test(
    `${kind}: what comes at last is handled once and in the order of its numbers, and nothing is missed`,
    { timeout: 120_000 },
    async () => {
      await fc.assert(
        fc.asyncProperty(patient, async (given) => {
          const { done, gapCount, staleCount } = await runThrough(given, kind)
          const wanted = wantedOf(given.plans, () => true)
          const found =
            given.lanes === 'finer' ? Object.fromEntries(Object.entries(done).map(([key, numbers]) => [key, sorted(numbers)])) : done
          expect(found).toEqual(wanted)
          expect(gapCount).toBe(0)
          expect(staleCount).toBe(0)
        }),
        { numRuns: 100 },
      )
    },
  )

  test(`${kind}: a number that is not handled was lost, or is in a gap that was given up and told`, { timeout: 120_000 }, async () => {
    await fc.assert(
      fc.asyncProperty(impatient, async (given) => {
        const { done, gaps, gapCount } = await runThrough(given, kind)
        expect(gapCount).toBe(gaps.length)
        const wanted = wantedOf(given.plans, ({ isLost }) => !isLost)
        for (const key of keys) {
          const numbers = done[key] ?? []
          expect(new Set(numbers).size).toBe(numbers.length)
          if (given.lanes !== 'finer') expect(numbers).toEqual(sorted(numbers))
          const isToldOf = (number: number): boolean =>
            gaps.some(({ stream, expected, found }) => stream === `asked:${key}` && expected <= number && number < found)
          expect((wanted[key] ?? []).filter((number) => !numbers.includes(number) && !isToldOf(number))).toEqual([])
          expect(numbers.filter((number) => !wanted[key]!.includes(number))).toEqual([])
        }
      }),
      { numRuns: 100 },
    )
  })

  test(`${kind}: at most once, it is begun in order and never twice`, { timeout: 120_000 }, async () => {
    await fc.assert(
      fc.asyncProperty(patient, async (given) => {
        const { calls, discardedCount, done, gapCount } = await runThrough({ ...given, lanes: 'stream' }, kind, 'at-most-once')
        expect(new Set(calls).size).toBe(calls.length)
        for (const numbers of Object.values(done)) expect(numbers).toEqual(sorted(numbers))
        expect(gapCount).toBe(0)
        if (given.endings.every(({ how }) => how === 'stop'))
          expect(Object.values(done).flat().length + discardedCount).toBe(Object.values(wantedOf(given.plans, () => true)).flat().length)
      }),
      { numRuns: 50 },
    )
  })
}
