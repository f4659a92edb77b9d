import { bareTable } from './harness/bare.ts'
import type { Benchmark } from './harness/benchmark.ts'
import type { Bar, Figure, Section } from './harness/figures.ts'
import { ratio } from './harness/figures.ts'
import type { Lab } from './harness/lab.ts'
import type { NextStream } from './harness/orders.ts'
import { newStreams, orderPlaced, orderRow, repeatedStreams } from './harness/orders.ts'
import { arePeersInstalled, openAct, openEmmett, peersMissing } from './harness/peers.ts'
import type { StoreName } from './harness/place.ts'
import { openStore } from './harness/place.ts'
import type { Load } from './harness/rounds.ts'
import { closedLoop, takeTurns } from './harness/rounds.ts'

const rowsAtOnce = 200
/** As many as the peers' pools have, unless they are told otherwise. */
const rawConnections = 10

export const append: Benchmark = {
  name: 'append',
  about: 'one event a call from 1, 10, 64 and 256 callers, against raw inserts, Emmett and Act',
  async *run(lab) {
    for (const store of lab.stores) {
      for (const [streams, next] of [
        ['new streams', () => newStreams],
        ['the same ten streams a caller again and again', repeatedStreams],
      ] as const) {
        for (const callers of [1, 10, 64, 256]) yield await measure(lab, store, callers, streams, next)
      }
    }
  },
}

/** One turn: a load of `callers`; what tells the streams apart begins anew, so that no contestant profits from another. */
type Contestant = () => Promise<Load>

async function measure(lab: Lab, store: StoreName, callers: number, streams: string, next: () => NextStream): Promise<Section> {
  await using resources = new AsyncDisposableStack()
  const contestants: Record<string, Contestant> = {}
  const compete = (name: string, call: (stream: string, version: number) => Promise<unknown>): void => {
    contestants[name] = async () => {
      const nextStream = next()
      await lab.checkpoint()
      return closedLoop(callers, lab.roundMs, (caller) => {
        const { stream, version } = nextStream(caller)
        return call(stream, version)
      })
    }
  }

  const ours = resources.use(await openStore(await lab.place(store)))
  compete('Headwater', (stream, version) => ours.append(stream, orderPlaced(), { expectedVersion: version === 0 ? 'no-stream' : version }))

  const raw = resources.use(await bareTable(await lab.place(store), rawConnections))
  compete('raw INSERT', (stream, version) => raw.insertOne(orderRow(stream, version + 1)))
  if (raw.insertOneLocked) {
    const locked = resources.use(await bareTable(await lab.place(store), rawConnections))
    compete('raw INSERT under a lock', (stream, version) => locked.insertOneLocked!(orderRow(stream, version + 1)))
  }
  const rawMany = resources.use(await bareTable(await lab.place(store)))
  contestants[`raw ${rowsAtOnce} rows`] = async () => {
    await lab.checkpoint()
    const load = await closedLoop(1, lab.roundMs, () =>
      rawMany.insertMany(Array.from({ length: rowsAtOnce }, () => orderRow(newStreams(0).stream, 1))),
    )
    return { ...load, perSecond: load.perSecond * rowsAtOnce }
  }

  if (store === 'postgres' && arePeersInstalled()) {
    for (const open of [openEmmett, openAct]) {
      const place = await lab.place('postgres')
      const peer = resources.use(await open('url' in place ? place.url : ''))
      compete(peer.name, (stream, version) => peer.append(stream, 'OrderPlaced', orderPlaced().data as object, version))
    }
  }

  const loads = await takeTurns(contestants, lab.rounds)
  return {
    title: `append, ${callers} ${callers === 1 ? 'caller' : 'callers'}, ${streams}`,
    store,
    figures: figuresOf(loads, store, callers),
    ...(store === 'postgres' && !arePeersInstalled() && { notes: [peersMissing] }),
  }
}

function figuresOf(loads: Readonly<Record<string, readonly Load[]>>, store: StoreName, callers: number): readonly Figure[] {
  const speeds = Object.entries(loads).map(([name, rounds]): Figure => ({
    name,
    unit: 'events/s',
    samples: rounds.map(({ perSecond }) => perSecond),
  }))
  const [ours, ...others] = speeds as [Figure, ...Figure[]]
  const latencies = (['p50Ms', 'p99Ms'] as const).map((part): Figure => ({
    name: `Headwater ${part.slice(0, 3)}`,
    unit: 'ms',
    samples: loads['Headwater']!.map((load) => load[part]),
  }))
  return [
    ...speeds,
    ...latencies,
    ...others.map((other) => ratio(ours, other, store === 'postgres' ? barOf(other.name, callers) : undefined)),
  ]
}

function barOf(contestant: string, callers: number): Bar | undefined {
  const bars: Readonly<Record<string, Readonly<Record<number, number>>>> = {
    'raw INSERT': { 1: 0.8 },
    [`raw ${rowsAtOnce} rows`]: { 64: 0.45, 256: 0.6 },
    Emmett: { 64: 7, 256: 10 },
    Act: { 64: 10, 256: 10 },
  }
  const atLeast = bars[contestant]?.[callers]
  return atLeast === undefined ? undefined : { atLeast }
}
