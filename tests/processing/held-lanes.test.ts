import fc from 'fast-check'
import { expect, test } from 'vitest'
import { DueQueue } from '../../src/processing/due-queue.ts'
import { HeldLanes } from '../../src/processing/held-lanes.ts'
import { BrokerModel } from './broker-model.ts'
import { LaneWorld } from './lane-world.ts'

test('what is due first comes first, whatever its time was before', () => {
  fc.assert(
    fc.property(fc.array(fc.record({ item: fc.nat({ max: 20 }), dueMs: fc.nat({ max: 100 }) }), { maxLength: 200 }), (entries) => {
      const due = new Map<number, number>()
      const queue = new DueQueue<number>((item, dueMs) => due.get(item) === dueMs)
      for (const { item, dueMs } of entries) {
        due.set(item, dueMs)
        queue.enter(item, dueMs)
        expect(due.get(queue.first!)).toBe(Math.min(...due.values()))
      }
      while (due.size > 0) {
        const { first } = queue
        expect(due.get(first!)).toBe(Math.min(...due.values()))
        due.delete(first!)
      }
      expect(queue.first).toBeUndefined()
    }),
  )
})

test('ten thousand held keys that are tried again and again cost no more each than ten do', async () => {
  const world = await LaneWorld.open()
  await (
    await world.begin(
      () => new BrokerModel('log', () => 1).source(),
      {},
      () => {},
    )
  ).stop()
  const costOf = async (count: number): Promise<number> => {
    const lanes = await HeldLanes.load(`p${count}`, world.store, () => undefined)
    const source = new BrokerModel('log', () => count)
    source.send(Array.from({ length: count }, (_, n) => ({ key: `k${n}`, n, id: `m${n}` })))
    const reports = []
    for await (const { events } of source.source().read(0, AbortSignal.timeout(10_000))) {
      for (const event of events) reports.push({ event, error: new Error('broken'), atMs: 0, durationMs: 0 })
      break
    }
    for (const report of reports) lanes.fail(report.event.stream, report, report.event.position % 97, undefined)
    const rounds = 20_000
    const before = process.threadCpuUsage()
    for (let round = 0; round < rounds; round++) {
      const lane = lanes.due(Infinity)!
      lanes.setRunning(lane, true)
      lanes.makeDue(lane)
      lanes.setRunning(lane, false)
      lanes.laneOf(lane.positions[0]!)
    }
    // Of this thread's own time, not of what a busy machine takes in between.
    const { user, system } = process.threadCpuUsage(before)
    return (user + system) / rounds
  }
  const few = await costOf(10)
  const many = await costOf(10_000)
  // A search through all of them would take hundreds of times as long.
  expect(many).toBeLessThan(30 * few + 20)
})
