import { expect, test } from 'vitest'
import { eventually } from '../../../support/eventually.ts'
import { describeOnPostgres } from '../../../support/postgres.ts'
import type { Publishing } from './support.ts'
import { happened, publishAlone, publishing } from './support.ts'

async function countStaged({ schema, user }: Publishing): Promise<number> {
  const client = await user()
  const { rows } = await client.query<{ count: number }>(`select count(*)::int from ${schema}.staged_events`)
  await client.end()
  return rows[0]!.count
}

describeOnPostgres('the tables of the outbox', (url) => {
  test('are emptied when all in them is in the log, and not before, whoever asks for it', async () => {
    const shop = await publishing(url)
    const user = await shop.user()
    const first = shop.sequence({ rotateEveryMs: Infinity })
    await publishAlone(shop, user, 'order:1', 1)
    await eventually(() => expect(first.status.moved).toBe(1))
    await first.stop()
    // In a table that is not written to any more, committed, and not in the log.
    await publishAlone(shop, user, 'order:1', 2)
    expect(await shop.staging.rotate()).toBe(false)
    await publishAlone(shop, user, 'order:1', 3)
    for (let round = 0; round < 5; round++) expect(await shop.staging.rotate()).toBe(false)
    expect(await countStaged(shop)).toBe(3)

    const second = shop.sequence({ rotateEveryMs: Infinity })
    await eventually(() => expect(second.status.moved).toBe(2))
    await eventually(async () => expect(await shop.staging.rotate()).toBe(true))
    expect(await countStaged(shop)).toBe(0)
    expect(await shop.log()).toEqual([1, 2, 3])
  })

  test('are read again from the beginning when the checkpoint was reset, and nothing is doubled', async () => {
    const shop = await publishing(url)
    const user = await shop.user()
    const first = shop.sequence({ rotateEveryMs: Infinity })
    for (let round = 0; round < 5; round++) await publishAlone(shop, user, 'order:1', round)
    await eventually(() => expect(first.status.moved).toBe(5))
    await first.stop()
    await shop.store.driver.processors.reset({ processor: 'outbox', position: 0 })
    await publishAlone(shop, user, 'order:1', 5)
    const second = shop.sequence({ rotateEveryMs: 1 })
    await eventually(() => expect(second.status.moved).toBe(6))
    expect(await shop.log()).toEqual([0, 1, 2, 3, 4, 5])
    await eventually(async () => expect(await countStaged(shop)).toBe(0))
  })

  const elsewhere = {
    'to another server, when the ids of the rows are far ahead of its own': {
      xid: '900000000000',
      seen: '"cluster":"1","seen":"800000000000:800000000000:"',
    },
    'to another server, when the ids of the rows are long past': { xid: '3', seen: '"cluster":"1","seen":"800000000000:800000000000:"' },
    'to another server in the middle of a batch': { xid: '3', seen: '"cluster":"1","seen":"3:3:","until":"4:4:","number":1,"place":1' },
    'from one that was ahead of this one': { xid: '900000000000', seen: '"cluster":"<same>","seen":"800000000000:800000000000:"' },
  }
  for (const [how, { xid, seen }] of Object.entries(elsewhere))
    test(`were copied ${how}`, async () => {
      const shop = await publishing(url)
      const [user, open] = [await shop.user(), await shop.user()]
      const first = shop.sequence({ rotateEveryMs: Infinity })
      await publishAlone(shop, user, 'order:1', 'moved')
      await eventually(() => expect(first.status.moved).toBe(1))
      await first.stop()
      await publishAlone(shop, user, 'order:1', 'copied')
      // As a dump that was loaded into another cluster leaves it.
      await user.query(`update ${shop.schema}.staged_order set xid = '${xid}'`)
      await user.query(`update ${shop.schema}.processors set state = replace($1, '<same>', state::json ->> 'cluster')`, [`{${seen}}`])
      await open.query('begin')
      await shop.outbox(open).publish(happened('open'), { stream: 'order:1' })

      shop.sequence({ pollMs: 1, rotateEveryMs: 1 })
      await eventually(async () => expect(await shop.log()).toEqual(['moved', 'copied']))
      await open.query('commit')
      await publishAlone(shop, user, 'order:1', 'new')
      await eventually(async () => expect(await shop.log()).toEqual(['moved', 'copied', 'open', 'new']))
      await eventually(async () => expect(await countStaged(shop)).toBe(0))
    })

  test('refuse what the log would refuse, in the transaction of whoever brings it', async () => {
    const shop = await publishing(url)
    const user = await shop.user()
    const good = {
      stream: 's',
      type: 'T',
      id: 'i',
      source: 's',
      correlationId: 'c',
      causationId: 'c',
      schemaVersion: 1,
      timeMs: 1,
      data: 1,
    }
    for (const bad of [
      { stream: '' },
      { stream: null },
      { stream: 'a\nb' },
      { id: 'x'.repeat(501) },
      { tags: 'text' },
      { metadata: [] },
      { schemaVersion: 0 },
      { timeMs: 'now' },
    ])
      await expect(user.query(`select ${shop.schema}.stage($1)`, [JSON.stringify([{ ...good, ...bad }])])).rejects.toThrow()
    await user.query(`select ${shop.schema}.stage($1)`, [JSON.stringify([good])])
    shop.sequence()
    await eventually(async () => expect(await shop.log()).toEqual([1]))
  })
})
