import type * as Timers from 'node:timers/promises'
import fc from 'fast-check'
import { expect, test, vi } from 'vitest'
import type { DeadLetter } from '../../src/processing/dead-letter.ts'
import type { LaneRun } from '../../src/processing/lane-run.ts'
import { PermanentError } from '../../src/processing/retry.ts'
import type { Sent, SourceKind } from './broker-model.ts'
import { BrokerModel } from './broker-model.ts'
import type { Item, Work } from './lane-world.ts'
import { actionFor, LaneWorld } from './lane-world.ts'

// The store in memory answers after a turn of the event loop instead of after a millisecond: thousands of them make one test.
vi.mock('node:timers/promises', async (original) => {
  const timers = await original<typeof Timers>()
  return { ...timers, setTimeout: (ms: number) => (ms === 0 ? timers.setImmediate() : timers.setTimeout(ms)) }
})

type Outcome = 'ok' | 'ok later' | 'throw' | 'reject' | 'permanent' | 'time out' | 'never end'
interface Plan {
  readonly key: string
  /** Of its attempts, one after another; after them it succeeds, if it is not hopeless. */
  readonly outcomes: readonly Outcome[]
  readonly isHopeless: boolean
  readonly isBroken: boolean
  /** Sent again, so many messages later. */
  readonly copyAfter: number
}
interface Ending {
  readonly how: 'stop' | 'replace' | 'replace unseen'
  readonly afterSteps: number
}

const outcome = fc.constantFrom<Outcome>('ok', 'ok', 'ok later', 'ok later', 'throw', 'reject', 'time out', 'never end')
const plan = fc.record({
  key: fc.constantFrom('a', 'b', 'c', 'd'),
  outcomes: fc.array(outcome, { maxLength: 3 }),
  isHopeless: fc.boolean(),
  isBroken: fc.integer({ min: 0, max: 9 }).map((value) => value === 0),
  copyAfter: fc.integer({ min: 0, max: 12 }),
})
const scenario = fc.record({
  plans: fc.array(plan, { minLength: 1, maxLength: 40 }),
  endings: fc.array(
    fc.record({ how: fc.constantFrom<Ending['how']>('stop', 'replace', 'replace unseen'), afterSteps: fc.integer({ min: 1, max: 60 }) }),
    {
      maxLength: 5,
    },
  ),
  concurrency: fc.constantFrom(1, 3, 16),
  pageSize: fc.constantFrom(1, 4, 100),
  stepMs: fc.constantFrom(1, 50, 2_000),
})
type Scenario = typeof scenario extends fc.Arbitrary<infer T> ? T : never

const retry = { attempts: 4, firstMs: 100, maxMs: 400 }
const timeoutMs = 1_000

/** The messages of the plans, copies among them; a log has none of those, and nothing that cannot be understood. */
function messagesOf(plans: readonly Plan[], kind: SourceKind): readonly Sent[] {
  const messages: Sent[] = []
  const copies: { readonly at: number; readonly copy: Sent }[] = []
  for (const [n, { key, isBroken, copyAfter }] of plans.entries()) {
    const sent: Sent = { key, n, id: `m${n}`, isBroken: isBroken && kind !== 'log' }
    messages.push(sent)
    if (copyAfter < 4 && kind !== 'log') copies.push({ at: n + copyAfter, copy: sent })
    for (const { at, copy } of copies) if (at === n) messages.push(copy)
  }
  return messages
}

/** A handler that does as planned, and notes when it was wrong to call it. */
function workOf(world: LaneWorld, plans: readonly Plan[], healed: { isOver: boolean }) {
  const tries = new Map<number, number>()
  const calls: number[] = []
  const succeeded = new Map<number, number>()
  const work: Work = ({ data }, { emit, signal }) => {
    const { n } = data
    const done = (): void => {
      succeeded.set(n, (succeeded.get(n) ?? 0) + 1)
      emit({ type: 'Done', data } as never)
    }
    calls.push(n)
    const { outcomes, isHopeless } = plans[n]!
    const count = tries.get(n) ?? 0
    tries.set(n, count + 1)
    const how = healed.isOver ? 'ok' : (outcomes[count] ?? (isHopeless ? (n % 2 === 0 ? 'permanent' : 'throw') : 'ok'))
    switch (how) {
      case 'ok':
        return done()
      case 'ok later':
        return world.clock.sleep(1 + (n % 7) * 40).then(done)
      case 'throw':
        throw new Error(`not now ${n}`)
      case 'reject':
        return world.clock.sleep(5).then(() => Promise.reject(new Error('later')))
      case 'permanent':
        throw new PermanentError('never')
      case 'time out':
        return world.clock.sleep(timeoutMs * 3, signal).then(() => Promise.reject(new Error('too late')))
      case 'never end':
        return world.clock.sleep(timeoutMs * 20).then(done)
    }
  }
  return { work, calls, succeeded }
}

async function runThrough(
  { plans, endings, concurrency, pageSize, stepMs }: Scenario,
  kind: SourceKind,
  options: { readonly whenExhausted: 'park' | 'dead-letter' | 'discard'; readonly delivery?: 'at-most-once' },
) {
  const world = await LaneWorld.open()
  const broker = new BrokerModel(kind, () => pageSize)
  const messages = messagesOf(plans, kind)
  broker.send(messages.slice(0, messages.length >> 1))
  const healed = { isOver: false }
  const { work, calls, succeeded } = workOf(world, plans, healed)
  const begin = (abandoned: boolean) =>
    world.begin(() => broker.source(), { concurrency, timeoutMs, retry, ...options }, work, { abandoned })
  let current = await begin(false)
  const ending: Promise<void>[] = []
  for (const [index, { how, afterSteps }] of endings.entries()) {
    await world.steps(afterSteps, stepMs)
    if (index === 0) broker.send(messages.slice(messages.length >> 1))
    const last = current
    if (how === 'stop') await last.stop()
    // Unseen: the old one does not know yet that another one has taken over.
    if (how === 'replace') ending.push(last.replace())
    current = await begin(how !== 'stop')
    if (how === 'replace unseen') ending.push(last.replace())
  }
  if (endings.length === 0) broker.send(messages.slice(messages.length >> 1))
  const settled = async (): Promise<boolean> => {
    if (kind === 'queue' ? broker.acknowledged.size < plans.length : (await world.checkpoint()) < messages.length) return false
    const letters = await world.letters()
    const parked = new Set(letters.filter(({ state }) => state === 'parked').map(({ key }) => key))
    return letters.every(({ state, key }) => state === 'dead' || parked.has(key))
  }
  await world.until(settled)
  await Promise.all(ending)
  return { world, broker, messages, healed, calls, succeeded, run: () => current, stop: () => current.stop() }
}

/** The numbers of the plans that pass, by key, in order. */
function numbersOf(plans: readonly Plan[], passes: (plan: Plan) => boolean): Record<string, number[]> {
  const byKey: Record<string, number[]> = {}
  for (const [n, one] of plans.entries()) if (passes(one)) (byKey[one.key] ??= []).push(n)
  return byKey
}

const isUnderstood = (kind: SourceKind) => (one: Plan) => kind === 'log' || !one.isBroken
const willSucceed = ({ outcomes, isHopeless }: Plan): boolean => {
  const failures = outcomes.filter((how) => how !== 'ok' && how !== 'ok later')
  return !isHopeless && failures.length < retry.attempts
}

const runs = 60
/** Has what is parked tried again until all is well. It is refused, and asked again, while a handler that was given up still runs. */
async function repairUntil(
  world: LaneWorld,
  run: LaneRun,
  isWell: (held: readonly DeadLetter[]) => boolean | Promise<boolean>,
): Promise<void> {
  let looks = 0
  await world.until(async () => {
    const held = (await world.letters()).filter(({ state }) => state !== 'dead')
    if (looks++ % 50 === 0)
      for (const letter of held.filter(({ state }) => state === 'parked'))
        run.act(actionFor(letter, 'retry', `a${letter.position}-${looks}`))
    return isWell(held)
  })
}

for (const kind of ['log', 'partition', 'queue'] as const) {
  test(
    `${kind}: parked, each message has its effect once, in order per key, after stops, take-overs and repairs`,
    { timeout: 120_000 },
    async () => {
      await fc.assert(
        fc.asyncProperty(scenario, async (given) => {
          const { world, healed, run, stop } = await runThrough(given, kind, { whenExhausted: 'park' })
          const all = numbersOf(given.plans, isUnderstood(kind))
          const before = await world.done()
          for (const [key, numbers] of Object.entries(before)) expect(numbers).toEqual(all[key]!.slice(0, numbers.length))
          const letters = await world.letters()
          const held = letters.filter(({ state }) => state !== 'dead')
          expect(run().run.heldCount).toBe(held.length)
          expect(Object.values(before).flat().length + held.length).toBe(Object.values(all).flat().length)
          expect(letters.filter(({ state }) => state === 'dead').length).toBe(
            kind === 'log' ? 0 : given.plans.filter(({ isBroken }) => isBroken).length,
          )
          // The first one of a key has failed, and the others wait.
          for (const key of new Set(held.map((letter) => letter.key)))
            expect(held.filter((letter) => letter.key === key).map(({ state }) => state === 'parked')).toEqual(
              held.filter((letter) => letter.key === key).map((_, index) => index === 0),
            )
          healed.isOver = true
          await repairUntil(world, run().run, ({ length }) => length === 0)
          expect(await world.done()).toEqual(all)
          await stop()
          expect(await world.done()).toEqual(all)
        }),
        { numRuns: runs },
      )
    },
  )

  test(`${kind}: dead-lettered, what can succeed has its effect once, and the rest is put aside alone`, { timeout: 120_000 }, async () => {
    await fc.assert(
      fc.asyncProperty(scenario, async (given) => {
        const { world, stop } = await runThrough(given, kind, { whenExhausted: 'dead-letter' })
        const letters = await world.letters()
        const done = await world.done()
        const understood = numbersOf(given.plans, isUnderstood(kind))
        const dead = new Set(letters.filter(({ type, error }) => type === 'Asked' && error?.message !== 'Error: it is none').map(numberOf))
        for (const [key, numbers] of Object.entries(understood)) expect(done[key] ?? []).toEqual(numbers.filter((n) => !dead.has(n)))
        if (given.endings.every(({ how }) => how === 'stop')) for (const n of dead) expect(willSucceed(given.plans[n]!)).toBe(false)
        await stop()
      }),
      { numRuns: runs },
    )
    function numberOf(letter: { readonly position: number; readonly message: { readonly data: unknown } | null }): number {
      return kind === 'log' ? letter.position - 1 : (letter.message!.data as Item).n
    }
  })

  test(`${kind}: at most once, nothing is handled twice, and what is given up is counted`, { timeout: 120_000 }, async () => {
    await fc.assert(
      fc.asyncProperty(scenario, async (given) => {
        const { world, calls, stop } = await runThrough(given, kind, { whenExhausted: 'discard', delivery: 'at-most-once' })
        await stop()
        expect(calls.length).toBe(new Set(calls).size)
        const done = Object.values(await world.done()).flat()
        expect(done.length).toBe(new Set(done).size)
        if (given.endings.every(({ how }) => how === 'stop'))
          expect(done.length + world.metrics.value('headwater_messages_discarded_total', { processor: world.processor })).toBe(
            Object.values(numbersOf(given.plans, isUnderstood(kind))).flat().length,
          )
      }),
      { numRuns: runs },
    )
  })
}

for (const kind of ['partition', 'queue'] as const)
  test(`${kind}: messages that come in any order, several times, have their effect once`, { timeout: 120_000 }, async () => {
    const arrival = fc.record({ n: fc.nat({ max: 30 }), key: fc.constantFrom('a', 'b', 'c') })
    await fc.assert(
      fc.asyncProperty(fc.array(arrival, { minLength: 1, maxLength: 60 }), scenario, async (arrivals, { endings, ...given }) => {
        // Whatever a number's key is, it is the same at each of its arrivals.
        const keys = new Map(arrivals.map(({ n, key }) => [n, key]))
        const sent = arrivals.map(({ n }): Sent => ({ n, key: keys.get(n)!, id: `m${n}` }))
        const world = await LaneWorld.open()
        const broker = new BrokerModel(kind, () => given.pageSize)
        let calls = 0
        const begin = (abandoned: boolean) =>
          world.begin(
            () => broker.source(),
            { concurrency: given.concurrency, timeoutMs, retry, whenExhausted: 'park' },
            ({ data }, { emit }) => {
              calls++
              const done = (): void => emit({ type: 'Done', data } as never)
              return data.n % 2 === 0 ? done() : world.clock.sleep(data.n * 10).then(done)
            },
            { abandoned },
          )
        broker.send(sent.slice(0, sent.length >> 1))
        let current = await begin(false)
        const ending: Promise<void>[] = []
        for (const { how, afterSteps } of endings) {
          await world.steps(afterSteps, given.stepMs)
          const last = current
          if (how === 'stop') await last.stop()
          if (how === 'replace') ending.push(last.replace())
          current = await begin(how !== 'stop')
          if (how === 'replace unseen') ending.push(last.replace())
        }
        broker.send(sent.slice(sent.length >> 1))
        const first = [...keys.keys()].toSorted((a, b) => a - b)
        // What is under way when process after process dies is parked, as if it were what kills them.
        await repairUntil(world, current.run, async () => Object.values(await world.done()).flat().length >= first.length)
        await Promise.all(ending)
        await current.stop()
        const done = await world.done()
        expect(
          Object.values(done)
            .flat()
            .toSorted((a, b) => a - b),
        ).toEqual(first)
        if (endings.length === 0) expect(calls).toBe(first.length)
        // Where nothing was given back in between, in the order in which they came for the first time.
        if (kind === 'partition')
          for (const [key, numbers] of Object.entries(done))
            expect(numbers).toEqual([...keys].filter(([, of]) => of === key).map(([n]) => n))
      }),
      { numRuns: runs },
    )
  })
