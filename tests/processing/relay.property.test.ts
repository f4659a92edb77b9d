import type * as Timers from 'node:timers/promises'
import fc from 'fast-check'
import { expect, test, vi } from 'vitest'
import type { Relaying } from './relay-world.ts'
import { RelayWorld } from './relay-world.ts'

// The store in memory answers after a turn of the event loop instead of after a millisecond: thousands of them make one test.
vi.mock('node:timers/promises', async (original) => {
  const timers = await original<typeof Timers>()
  return { ...timers, setTimeout: (ms: number) => (ms === 0 ? timers.setImmediate() : timers.setTimeout(ms)) }
})

type Step =
  | { readonly kind: 'append'; readonly keys: readonly string[]; readonly isOther: boolean }
  | { readonly kind: 'write' | 'write unseen' | 'lose' | 'write all' | 'turns' | 'time' | 'stop' | 'take over'; readonly choice: number }

const key = fc.constantFrom('a', 'b', 'c')
const append = fc.record({
  kind: fc.constant('append' as const),
  keys: fc.array(key, { minLength: 1, maxLength: 4 }),
  isOther: fc.integer({ min: 0, max: 4 }).map((n) => n === 0),
})
const act = (kind: Exclude<Step['kind'], 'append'>) => fc.record({ kind: fc.constant(kind), choice: fc.integer({ min: 0, max: 5 }) })
const anyStep: fc.Arbitrary<Step> = fc.oneof(
  { weight: 4, arbitrary: append },
  { weight: 5, arbitrary: act('write') },
  { weight: 4, arbitrary: act('turns') },
  { weight: 1, arbitrary: act('write all') },
  { weight: 1, arbitrary: act('write unseen') },
  { weight: 1, arbitrary: act('lose') },
  { weight: 1, arbitrary: act('time') },
  { weight: 1, arbitrary: act('stop') },
  { weight: 1, arbitrary: act('take over') },
)

const tooLarge = (id: string): boolean => Number(id.slice(1)) % 7 === 3

class Scenario {
  readonly world: RelayWorld
  readonly relayings: Relaying[] = []
  /** What all brokers' logs together have: there is one broker, to which each owner has a connection of its own. */
  readonly written: string[] = []
  readonly #seen = new Map<Relaying, number>()

  constructor(world: RelayWorld) {
    this.world = world
  }

  get current(): Relaying {
    return this.relayings.at(-1)!
  }

  async begin(): Promise<void> {
    const relaying = await this.world.begin()
    for (let n = 3; n < 400; n += 7) relaying.broker.refused.add(`e${n}`)
    this.relayings.push(relaying)
  }

  async take(step: Step): Promise<void> {
    if (step.kind === 'append') return this.world.append(step.keys, step.isOther)
    const { choice } = step
    // Whoever was replaced may still have messages on their way.
    const relaying = this.relayings.at(-1 - (choice % Math.min(2, this.relayings.length)))!
    if (step.kind === 'write') relaying.broker.write(choice)
    else if (step.kind === 'write unseen') relaying.broker.write(choice, { confirms: false })
    else if (step.kind === 'lose') relaying.broker.lose(choice)
    else if (step.kind === 'write all') relaying.broker.writeAll()
    else if (step.kind === 'turns') await this.world.turns(1 + choice * 4)
    else if (step.kind === 'time') await this.world.clock.advance(choice * 60)
    else {
      if (step.kind === 'stop') {
        this.current.stop()
        await this.world.until(() => {
          this.current.broker.writeAll()
          return this.current.isOver
        })
      } else this.current.lose()
      this.#collect()
      await this.begin()
    }
    this.#collect()
  }

  #collect(): void {
    for (const relaying of this.relayings) {
      const { written } = relaying.broker
      this.written.push(...written.slice(this.#seen.get(relaying) ?? 0))
      this.#seen.set(relaying, written.length)
    }
  }

  /** Whatever is before the checkpoint is at the broker, or put aside. */
  async expectNothingSkipped(): Promise<void> {
    const checkpoint = await this.world.checkpoint()
    const dead = await this.world.deadPositions()
    this.#collect()
    for await (const { id, position, type } of this.world.store.readLog({ upTo: checkpoint }))
      if (type === 'Asked') expect(tooLarge(id) ? dead.includes(position) : this.written.includes(id), id).toBe(true)
  }

  async finish(): Promise<void> {
    const { world } = this
    const { head } = await world.store.log()
    await world.until(async () => {
      for (const { broker } of this.relayings) broker.writeAll()
      this.#collect()
      await world.clock.advance(50)
      return (await world.checkpoint()) === head
    })
    await this.expectNothingSkipped()
    const expected: Record<string, string[]> = {}
    for await (const { id, stream, type } of world.store.readLog())
      if (type === 'Asked' && !tooLarge(id)) (expected[stream] ??= []).push(id)
    const streamOf = new Map(Object.entries(expected).flatMap(([stream, ids]) => ids.map((id): [string, string] => [id, stream])))
    const actual: Record<string, string[]> = {}
    for (const id of new Set(this.written)) (actual[streamOf.get(id)!] ??= []).push(id)
    expect(actual).toEqual(expected)
    expect(await world.deadPositions()).toHaveLength(await this.#refusedCount())
  }

  async #refusedCount(): Promise<number> {
    let count = 0
    for await (const { id } of this.world.store.readLog({ types: ['Asked'] })) if (tooLarge(id)) count++
    return count
  }
}

test(
  'whatever a broker does, and whoever takes over when, nothing is skipped, and no key comes out of order',
  { timeout: 120_000 },
  async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(anyStep, { minLength: 5, maxLength: 60 }), async (steps) => {
        const world = await RelayWorld.open()
        const scenario = new Scenario(world)
        try {
          await scenario.begin()
          for (const one of steps) {
            await scenario.take(one)
            await scenario.expectNothingSkipped()
          }
          await scenario.finish()
        } finally {
          for (const { lose, broker } of scenario.relayings) {
            lose()
            broker.writeAll()
          }
          await world.until(() => {
            for (const { broker } of scenario.relayings) broker.writeAll()
            return scenario.relayings.every(({ isOver }) => isOver)
          })
          await world.close()
        }
      }),
      { numRuns: 400 },
    )
  },
)
