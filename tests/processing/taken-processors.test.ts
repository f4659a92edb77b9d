import { expect, onTestFinished, test } from 'vitest'
import { silentLog } from '../../src/observability/log.ts'
import { LeaseKeeper } from '../../src/processing/lease-keeper.ts'
import { TakenProcessors } from '../../src/processing/taken-processors.ts'
import { EventStore } from '../../src/storage/event-store.ts'
import { describeOnEveryStore } from '../support/stores.ts'

describeOnEveryStore('processors that are taken to be reset', (fresh) => {
  test('are taken back by nobody until they are given back, at their new place, and the earlier owner is fenced off', async () => {
    const store = await EventStore.open(await fresh(), { source: 'test', log: silentLog })
    onTestFinished(() => store.close())
    const [first, second] = [new LeaseKeeper(store), new LeaseKeeper(store)]
    const mine = await first.claim('p', 7, { takesOver: true })
    if (!('lost' in mine)) throw new Error('nobody else has it')
    {
      await using taken = new TakenProcessors(store)
      expect(await taken.take('p', 0, { fromOwner: true })).toMatchObject({ position: 7 })
      expect(await second.claim('p', 0, { takesOver: true })).toMatchObject({ heldBy: expect.stringMatching(/^reset:/) })
      const { epoch, processor } = mine
      await expect(store.commit({ appends: [], checkpoint: { processor, epoch, position: 8 } })).rejects.toMatchObject({ code: 'fenced' })
      await using late = new TakenProcessors(store)
      await expect(late.take('p', 0, { fromOwner: true })).rejects.toMatchObject({ code: 'reset-refused' })
      await taken.put([{ processor: 'p', position: 3 }])
      expect(await second.claim('p', 0)).toMatchObject({ position: 3, abandoned: false })
    }
    // What was put is not taken back at the end.
    expect(await first.claim('p', 0)).toMatchObject({ heldBy: second.owner })
  })

  test('come back as they were when it comes to nothing', async () => {
    const store = await EventStore.open(await fresh(), { source: 'test', log: silentLog })
    onTestFinished(() => store.close())
    const keeper = new LeaseKeeper(store)
    await keeper.claim('p', 7)
    {
      await using taken = new TakenProcessors(store)
      await expect(taken.take('p', 0, { fromOwner: false })).rejects.toThrow('p is running')
      await taken.take('p', 0, { fromOwner: true })
    }
    expect(await keeper.claim('p', 0)).toMatchObject({ position: 7 })
  })
})
