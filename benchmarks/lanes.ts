import { defineHandler } from '../src/processing/handler.ts'
import { bareLoop } from './harness/bare.ts'
import type { Benchmark } from './harness/benchmark.ts'
import type { Figure, Section } from './harness/figures.ts'
import { ratio, speedFigures } from './harness/figures.ts'
import type { Lab } from './harness/lab.ts'
import { allEvents, startOrders } from './harness/order-service.ts'
import type { Speed } from './harness/pace.ts'
import { Pace } from './harness/pace.ts'
import type { Place, StoreName } from './harness/place.ts'
import { takeTurns } from './harness/rounds.ts'

export const lanes: Benchmark = {
  name: 'lanes',
  about: '10,000 events of 1,000 keys with 0 to 5 ms of work each, 100 at a time, against the order of 12 partitions and one after another',
  async *run(lab) {
    for (const store of lab.stores) yield await measure(lab, store)
  },
}

const events = 10_000
const concurrency = 100
const partitions = 12
/** One after another takes long, and is as fast after a thousand events as after ten. */
const eventsInARow = 500

async function measure(lab: Lab, store: StoreName): Promise<Section> {
  const place = await lab.orderLog(store, events)
  const speeds = await takeTurns(
    {
      Headwater: () => handleInLanes(place),
      [`${partitions} partitions`]: () => handleInQueues(place, partitions, events),
      'one after another': () => handleInQueues(place, 1, eventsInARow),
    },
    lab.rounds,
  )
  const figures = speedFigures(speeds, 'events')
  const [headwater, partitioned] = figures as [Figure, Figure]
  return {
    title: `lanes: work of 0 to 5 ms, 1,000 keys, ${concurrency} at a time`,
    store,
    figures: [...figures.slice(0, 3), ratio(headwater, partitioned), ...figures.slice(3)],
    notes: ['the others read the same rows with the client of the database, and store no checkpoint'],
  }
}

let handlers = 0

async function handleInLanes(place: Place): Promise<Speed> {
  const pace = new Pace(events)
  const handler = defineHandler(
    `lanes-${process.pid}-${++handlers}`,
    { on: allEvents, key: ({ data }) => data.orderId, concurrency },
    async ({ position }) => {
      await work(position)
      pace.add()
    },
  )
  const app = await startOrders(place, { handlers: [handler] })
  const speed = await pace.finished
  await app.stop()
  return speed
}

/** As a consumer does that takes the messages of each partition one after another; an order belongs to one partition. */
async function handleInQueues(place: Place, queues: number, count: number): Promise<Speed> {
  const pace = new Pace(count)
  const all = Array.from({ length: queues }, (): number[] => [])
  let position = 0
  await bareLoop(place, (payloads) => {
    for (const { orderId } of payloads as readonly { readonly orderId: string }[])
      if (++position <= count) all[Number.parseInt(orderId.slice(-12), 16) % queues]!.push(position)
  })
  await Promise.all(
    all.map(async (queue) => {
      for (const next of queue) {
        await work(next)
        pace.add()
      }
    }),
  )
  return pace.finished
}

/** From 0 to 5 ms, the same for each event in every run. */
function work(position: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, (position * 7) % 6))
}
