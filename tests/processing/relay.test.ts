import type * as Timers from 'node:timers/promises'
import { expect, onTestFinished, test, vi } from 'vitest'
import type { OperatorAction, RecordedKind } from '../../src/processing/operator-action.ts'
import type { PublishOutcome, TransportConnection } from '../../src/transport/port.ts'
import type { Item, Relaying } from './relay-world.ts'
import { RelayWorld } from './relay-world.ts'

vi.mock('node:timers/promises', async (original) => {
  const timers = await original<typeof Timers>()
  return { ...timers, setTimeout: (ms: number) => (ms === 0 ? timers.setImmediate() : timers.setTimeout(ms)) }
})

async function openWorld(): Promise<RelayWorld> {
  const world = await RelayWorld.open()
  onTestFinished(() => world.close())
  return world
}

/** Ends the run when the test ends, whatever is on its way then. */
async function begin(world: RelayWorld, ...options: Parameters<RelayWorld['begin']>): Promise<Relaying> {
  const relaying = await world.begin(...options)
  onTestFinished(async () => {
    relaying.lose()
    await world.until(() => {
      relaying.broker.writeAll()
      return relaying.isOver
    })
  })
  return relaying
}

const keys = (count: number): readonly string[] => Array.from({ length: count }, (_, n) => `k${n % 50}`)
const sumOf = (numbers: readonly number[]): number => numbers.reduce((sum, one) => sum + one, 0)

test('calls are under way beside each other, up to a bound, and the checkpoint waits for the oldest one', async () => {
  const world = await openWorld()
  await world.append(keys(6_000))
  const { broker } = await begin(world)
  await world.until(() => sumOf(broker.calls) >= 4_000)
  await world.turns(200)
  expect(sumOf(broker.calls)).toBeLessThan(4_600)
  expect(broker.calls.length).toBeGreaterThanOrEqual(8)

  broker.writeCall(1)
  await world.turns(50)
  await world.clock.advance(1_000)
  expect(await world.checkpoint()).toBe(0)
  const [first, second] = broker.calls
  broker.writeCall(0)
  await world.turns(50)
  await world.clock.advance(1_000)
  await world.until(async () => (await world.checkpoint()) === first! + second!)
  await world.until(() => sumOf(broker.calls) >= 4_000 + first! + second!)
})

test('while there is more to publish the checkpoint is written now and then, and at once when there is not', async () => {
  const world = await openWorld()
  await world.append(keys(3_000))
  const relaying = await begin(world)
  const { broker } = relaying
  await world.until(() => sumOf(broker.calls) === 3_000)
  for (let call = 0; call < 3; call++) {
    broker.writeCall(0)
    await world.turns(100)
  }
  expect(await world.checkpoint()).toBe(0)
  await world.clock.advance(100)
  await world.until(async () => (await world.checkpoint()) > 1_000)
  expect(relaying.isLive).toBe(false)
  broker.writeAll()
  await world.until(async () => (await world.checkpoint()) === 3_000)
  await world.until(() => relaying.isLive)
})

test('after a failure everything in flight lands, then it begins anew at what failed', async () => {
  const world = await openWorld()
  await world.append(Array.from({ length: 2_000 }, (_, n) => `k${n}`))
  const { broker, failures } = await begin(world)
  await world.until(() => sumOf(broker.calls) === 2_000)
  const made = broker.calls.length
  broker.writeCall(0)
  const [lost] = broker.pending
  broker.lose(0)
  await world.append(keys(10))
  await world.turns(300)
  expect(broker.calls.length).toBe(made)
  expect(failures).toEqual([])
  broker.writeAll()
  await world.until(() => broker.calls.length > made)
  expect(failures).toEqual([expect.stringMatching(/^Asked at position \d+ \(asked:k\d+\): not confirmed in time$/)])
  expect(broker.pending[0]).toBe(lost)
  expect(await world.checkpoint()).toBe(Number(lost!.slice(1)) - 1)
})

test('nothing is handed over behind a call that failed in the moment in which another one made room', async () => {
  const world = await openWorld()
  await world.append(keys(6_000))
  const settles: ((outcomes: readonly PublishOutcome[]) => void)[] = []
  const sizes: number[] = []
  const connection: Pick<TransportConnection, 'publish'> = {
    publish: async (_, messages) => {
      const number = sizes.push(messages.length)
      const outcomes = await new Promise<readonly PublishOutcome[]>((settle) => settles.push(settle))
      // The others hear of their end some steps later than the first, as over an adapter that has to tidy up in between.
      if (number > 1) for (let hop = 0; hop < 20; hop++) await Promise.resolve()
      return outcomes
    },
  }
  const relaying = await begin(world, {}, connection as TransportConnection)
  await world.until(() => sumOf(sizes) >= 4_000)
  const made = sizes.length
  const all = (number: number, outcome: PublishOutcome): void => settles[number]!(Array.from({ length: sizes[number]! }, () => outcome))
  const failed: PublishOutcome = { ok: false, refused: false, error: new Error('not confirmed in time') }
  all(0, { ok: true })
  all(1, failed)
  await world.turns(300)
  expect(sizes.length).toBe(made)
  relaying.lose()
  for (let number = 2; number < made; number++) all(number, failed)
  await world.until(() => relaying.isOver)
})

test('a connection that throws is a failure like any other', async () => {
  const world = await openWorld()
  await world.append(['a'])
  const published: string[] = []
  const connection: Pick<TransportConnection, 'publish'> = {
    publish: (_, messages) => {
      if (published.push(messages[0]!.id) < 3) throw new Error('closed')
      return Promise.resolve([{ ok: true }])
    },
  }
  const relaying = await begin(world, {}, connection as TransportConnection)
  await world.until(async () => (await world.checkpoint()) === 1)
  expect(relaying.failures).toEqual(['Asked at position 1 (asked:a): closed', 'Asked at position 1 (asked:a): closed'])
  expect(published).toEqual(['e1', 'e1', 'e1'])
})

test('an event of which the code of the topic makes no message stands still, after those before it', async () => {
  const world = await openWorld()
  await world.append(['a', 'b', 'c'])
  let isBroken = true
  const where = ({ data }: { readonly data: unknown }): boolean => {
    if (isBroken && (data as Item).n === 2) throw new Error('who is b?')
    return true
  }
  const { broker, failures } = await begin(world, { where })
  await world.until(() => {
    broker.writeAll()
    return failures.length > 0
  })
  expect(broker.written).toEqual(['e1'])
  expect(failures[0]).toBe('Asked at position 2 (asked:b): who is b?')
  isBroken = false
  await world.until(() => {
    broker.writeAll()
    return broker.written.length === 3
  })
  await world.until(async () => (await world.checkpoint()) === 3)
})

test('told to stop, it waits for what is in flight, and says how far it came', async () => {
  const world = await openWorld()
  await world.append(keys(1_000))
  const relaying = await begin(world)
  await world.until(() => relaying.broker.calls.length === 2)
  relaying.stop()
  await world.turns(100)
  expect(relaying.isOver).toBe(false)
  relaying.broker.writeAll()
  await world.until(() => relaying.isOver)
  expect(await world.checkpoint()).toBe(1_000)
})

test('what is not for the topic moves the checkpoint too, a little later', async () => {
  const world = await openWorld()
  const relaying = await begin(world)
  await world.append(['a', 'b'], true)
  await world.until(() => relaying.isLive)
  await world.turns(50)
  await world.clock.advance(200)
  await world.until(async () => (await world.checkpoint()) === 2)
  expect(relaying.broker.calls).toEqual([])
})

test('what a broker has refused can be tried again, and thrown away; what is in the log cannot be edited', async () => {
  const world = await openWorld()
  await world.append(['a', 'a', 'b', 'a'])
  const { broker, relay } = await begin(world)
  broker.refused.add('e1').add('e3')
  await world.until(async () => {
    broker.writeAll()
    return (await world.checkpoint()) === 4
  })
  const { letters } = world
  const id = (n: number): string => `relay:asked@${n}`
  expect((await letters.list()).documents).toMatchObject([
    { id: id(1), state: 'dead', key: 'asked:a', attempts: 1, error: { message: 'Error: too large' } },
    { id: id(3), state: 'dead', key: 'asked:b', attempts: 1 },
  ])
  const ask = async (kind: Exclude<OperatorAction['kind'], RecordedKind>, letter: string): Promise<OperatorAction> => {
    const options = { by: 'ada', reason: 'because', waitMs: 0 }
    const { id: asked } = await (kind === 'edit' ? letters.edit(letter, {}, options) : letters[kind](letter, options))
    let action: OperatorAction | undefined
    await world.until(async () => {
      for (const one of await letters.requested()) relay.take(one)
      broker.writeAll()
      action = (await letters.actions()).find((one) => one.id === asked)
      return action?.state !== 'requested'
    })
    return action!
  }
  expect(await ask('retry', id(1))).toMatchObject({ state: 'done', outcome: 'failed' })
  expect((await letters.list()).documents[0]).toMatchObject({ id: id(1), state: 'dead', attempts: 2, history: [{}, {}] })
  expect(await ask('edit', id(1))).toMatchObject({ state: 'refused', outcome: expect.stringContaining('nobody edits') as string })
  broker.refused.delete('e1')
  expect(await ask('retry', id(1))).toMatchObject({ state: 'done', outcome: 'succeeded' })
  expect(broker.written).toEqual(['e2', 'e4', 'e1'])
  expect(await ask('discard', id(3))).toMatchObject({ state: 'done', outcome: 'discarded', reason: 'because', before: { id: id(3) } })
  expect((await letters.list()).documents).toEqual([])
  expect(await world.checkpoint()).toBe(4)
})
