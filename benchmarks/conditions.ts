import type { AppendOptions, EventStore } from '../src/storage/event-store.ts'
import type { Benchmark } from './harness/benchmark.ts'
import type { Figure, Section } from './harness/figures.ts'
import { ratio } from './harness/figures.ts'
import type { Lab } from './harness/lab.ts'
import { newStreams, orderPlaced } from './harness/orders.ts'
import type { StoreName } from './harness/place.ts'
import { openStore } from './harness/place.ts'
import { closedLoop, takeTurns } from './harness/rounds.ts'

export const conditions: Benchmark = {
  name: 'conditions',
  about: 'what tags and conditions beyond the stream cost: nothing where they are not used',
  async *run(lab) {
    for (const store of lab.stores) for (const callers of [1, 64]) yield await measure(lab, store, callers)
  },
}

const taggedEvents = 100_000

async function measure(lab: Lab, store: StoreName, callers: number): Promise<Section> {
  await using unusedStore = await openStore(await lab.place(store))
  await using usedStore = await openStore(await lab.place(store))
  for (let done = 0; done < taggedEvents; done += 5_000)
    await usedStore.append(
      'courses',
      Array.from({ length: 5_000 }, (_, index) => ({ ...orderPlaced(), tags: tagsOf(done + index) })),
    )

  const unused = 'neither tags nor conditions, in a store that knows none'
  const without = 'the same, in a store that knows 100,000 tags'
  const tagged = 'two tags'
  const conditional = 'two tags, and a condition on them'
  const boundary = 'two tags, and a condition on what came for either within 500 events'
  let count = 0
  let head = 0
  const turn =
    (target: EventStore, how: (count: number) => { readonly tags?: readonly string[]; readonly options?: AppendOptions }) => async () => {
      await lab.checkpoint()
      const load = await closedLoop(callers, lab.roundMs, async () => {
        const { tags, options } = how(++count)
        const { position } = await target.append(newStreams(0).stream, { ...orderPlaced(), ...(tags && { tags }) }, options)
        head = position
      })
      return load.perSecond
    }
  const speeds = await takeTurns(
    {
      [unused]: turn(unusedStore, () => ({})),
      [without]: turn(usedStore, () => ({})),
      [tagged]: turn(usedStore, (number) => ({ tags: tagsOf(number) })),
      [conditional]: turn(usedStore, (number) => {
        const tags = tagsOf(number).map((tag) => `${tag}:once`)
        return { tags, options: { condition: { query: { items: [{ tags }] }, after: 0 } } }
      }),
      [boundary]: turn(usedStore, (number) => {
        const tags = tagsOf(number)
        const items = tags.map((tag) => ({ tags: [`${tag}:elsewhere`] }))
        return { tags, options: { condition: { query: { items }, after: Math.max(0, head - 500) } } }
      }),
    },
    lab.rounds,
  )
  const figures = Object.entries(speeds).map(([name, samples]): Figure => ({ name, unit: 'events/s', samples }))
  const [first, ...others] = figures as [Figure, ...Figure[]]
  return {
    title: `append with conditions, ${callers} ${callers === 1 ? 'caller' : 'callers'}`,
    store,
    figures: [
      ...figures,
      ...others.map((other) => ({
        ...ratio(other, first, other.name === without ? { atLeast: 0.9 } : undefined),
        name: `${other.name} ÷ the first`,
      })),
    ],
  }
}

function tagsOf(number: number): readonly string[] {
  return [`course:${number}`, `student:${number % 1_000}`]
}
