import type pg from 'pg'
import { expect, test } from 'vitest'
import { z } from 'zod'
import { onBehalfOf } from '../../../../src/message/context.ts'
import { InvalidDefinitionError, InvalidMessageError } from '../../../../src/message/errors.ts'
import { defineEvent } from '../../../../src/message/event.ts'
import { silentLog } from '../../../../src/observability/log.ts'
import { LeaseKeeper } from '../../../../src/processing/lease-keeper.ts'
import { Sequencer } from '../../../../src/processing/sequencer.ts'
import { InvalidEventError, UnsupportedStoreError } from '../../../../src/storage/errors.ts'
import { EventStore } from '../../../../src/storage/event-store.ts'
import type { UserTransaction } from '../../../../src/storage/postgres/index.ts'
import { outbox, postgres } from '../../../../src/storage/postgres/index.ts'
import { eventually } from '../../../support/eventually.ts'
import { describeOnPostgres } from '../../../support/postgres.ts'
import { freshSchema } from '../../../support/stores.ts'
import { poolWith } from '../support.ts'
import { happened, publishAlone, publishing, wholeLog } from './support.ts'

const OrderPlaced = defineEvent('OrderPlaced', z.object({ orderId: z.string(), total: z.number() })).tags(({ orderId }) => [
  `order:${orderId}`,
])

describeOnPostgres('publishing from a transaction of the user', (url) => {
  test('brings an event into the log as an append would have', async () => {
    const shop = await publishing(url)
    const user = await shop.user()
    const strange = { text: 'é 𝄞 "\\ \u001f\u2028', n: 1.5e-7, list: [[], {}, null], z: 1, a: 2 }
    const given = { metadata: { trace: 't' }, time: new Date(1_700_000_000_123), correlationId: 'cause', causationId: 'cause' }
    await user.query('begin')
    const [id = ''] = await shop.outbox(user).publish(OrderPlaced({ orderId: 'o-1', total: 3 }, given), { stream: 'order:o-1' })
    const ids = await shop.outbox(user).publish([happened(strange, 'mine'), happened(null)], { stream: 'other:1' })
    await user.query('commit')
    shop.sequence()
    const [placed, strangeOne, empty] = await eventually(async () => {
      const events = await wholeLog(shop.store)
      expect(events).toHaveLength(3)
      return events
    })
    expect(placed).toEqual({
      ...given,
      id,
      type: 'OrderPlaced',
      data: { orderId: 'o-1', total: 3 },
      source: 'headwater',
      schemaVersion: 1,
      stream: 'order:o-1',
      version: 1,
      position: 1,
      tags: ['order:o-1'],
    })
    expect(ids).toEqual(['mine', empty?.id])
    expect(empty?.data).toBeNull()
    expect(strangeOne?.data).toEqual(strange)
    const { rows } = await user.query(`select data::text from ${shop.schema}.events where id = 'mine'`)
    expect(rows).toEqual([{ data: JSON.stringify(strange) }])
  })

  test('correlates an event with the message at hand', async () => {
    const shop = await publishing(url)
    const user = await shop.user()
    await onBehalfOf({ correlationId: 'all', causationId: 'this' }, () => publishAlone(shop, user, 'order:1', 1))
    shop.sequence()
    const [event] = await eventually(async () => expectLength(await wholeLog(shop.store), 1))
    expect(event).toMatchObject({ correlationId: 'all', causationId: 'this' })
  })

  test('refuses what cannot be stored before anything is sent', async () => {
    const sent: string[] = []
    const box = outbox({ query: async (text) => void sent.push(text) })
    const stream = { stream: 'order:1' }
    expect(() => OrderPlaced({ orderId: 'o-1' } as never)).toThrow(InvalidMessageError)
    await expect(box.publish(happened('\u0000'), stream)).rejects.toThrow(InvalidEventError)
    await expect(box.publish(happened('x'.repeat(1024 * 1024)), stream)).rejects.toThrow(InvalidEventError)
    await expect(box.publish(happened(1), { stream: '' })).rejects.toThrow(InvalidEventError)
    await expect(box.publish([happened(1, 'a'), happened(2, 'a')], stream)).rejects.toThrow(/a stands twice/)
    await expect(
      box.publish(
        Array.from({ length: 10_001 }, () => happened(1)),
        stream,
      ),
    ).rejects.toThrow(/at most 10000/)
    expect(await box.publish([], stream)).toEqual([])
    expect(sent).toEqual([])
    expect(() => outbox(poolWith(url))).toThrow(InvalidDefinitionError)
    expect(() => outbox({ query: async () => undefined }, { schema: 'a"b' })).toThrow(InvalidDefinitionError)
  })

  test('leaves nothing behind when the transaction, or a part of it, is rolled back', async () => {
    const shop = await publishing(url)
    const user = await shop.user()
    const publish = (name: string) => shop.outbox(user).publish([happened(`${name}-1`), happened(`${name}-2`)], { stream: 'order:1' })
    await user.query('begin')
    await publish('never')
    await user.query('rollback')

    await user.query('begin; savepoint a')
    await publish('not this')
    await user.query('rollback to a; savepoint b')
    await publish('this')
    await user.query('savepoint c')
    await publish('nor this')
    await user.query('rollback to c; release b; commit')

    await user.query('begin')
    await publish('broken')
    await user.query('select 1/0').catch(() => undefined)
    await user.query('commit')
    await publishAlone(shop, user, 'order:1', 'last')

    const sequencer = shop.sequence()
    await eventually(async () => expect(await shop.log()).toContain('last'))
    expect(await shop.log()).toEqual(['this-1', 'this-2', 'last'])
    await eventually(() => expect(sequencer.status).toMatchObject({ state: 'running', moved: 3, failure: undefined }))
  })

  test('counts once what is published again under the same id, and does not lose its neighbours', async () => {
    const shop = await publishing(url)
    const user = await shop.user()
    const publish = async (...ids: string[]) => {
      await user.query('begin')
      await shop.outbox(user).publish(
        ids.map((id) => happened(id, id)),
        { stream: 'order:1' },
      )
      await user.query('commit')
    }
    // Twice in one batch …
    await publish('a', 'b')
    await publish('b', 'c')
    const sequencer = shop.sequence()
    await eventually(async () => expect(await shop.log()).toEqual(['a', 'b', 'c']))
    // … and in different ones.
    await publish('c', 'd', 'a')
    await eventually(() => expect(sequencer.status.moved).toBe(7))
    expect(await shop.log()).toEqual(['a', 'b', 'c', 'd'])
  })
})

const hostile =
  '-c default_transaction_isolation=serializable -c synchronous_commit=off -c standard_conforming_strings=off -c search_path=pg_temp'

describeOnPostgres('every way of sending the statement', (url) => {
  const ways: Record<string, (client: pg.Client) => UserTransaction> = {
    'as pg does': (client) => client,
    'prepared by name': (client) => ({ query: (text, values) => client.query({ name: 'publish', text, values }) }),
    'with the value in the text': (client) => ({
      query: (text, [value = '']) => client.query(text.replace('$1', () => client.escapeLiteral(value))),
    }),
  }
  for (const [way, wrap] of Object.entries(ways))
    for (const isolation of ['read committed', 'repeatable read', 'serializable'])
      test(`works under ${isolation}, ${way}`, async () => {
        const shop = await publishing(url)
        shop.sequence({ pollMs: 1, rotateEveryMs: 5 })
        const users = await Promise.all(Array.from({ length: 8 }, () => shop.user()))
        // None of them may fail: they have nothing in common but the outbox.
        await Promise.all(
          users.map(async (user, index) => {
            for (let round = 0; round < 15; round++) {
              await user.query(`begin isolation level ${isolation}`)
              await user.query('select 1')
              const data = { text: "it's \\ $1", round }
              await shop.outbox(wrap(user)).publish(happened(data), { stream: `user:${index}` })
              await user.query('commit')
            }
          }),
        )
        await eventually(async () => expect((await shop.store.log()).head).toBe(8 * 15))
        for (const index of users.keys())
          expect(await shop.log(`user:${index}`)).toEqual(Array.from({ length: 15 }, (_, round) => ({ text: "it's \\ $1", round })))
      })

  test('works on connections that belong to nobody for longer than a transaction, whatever their settings', async () => {
    const shop = await publishing(url)
    shop.sequence()
    const pool = poolWith(url, hostile, 3)
    await Promise.all(
      Array.from({ length: 30 }, async (_, index) => {
        const client = await pool.connect()
        await client.query('begin')
        await shop.outbox(client).publish(happened({ index }), { stream: 'order:1' })
        await client.query('commit')
        // As a pooler may do.
        await client.query('discard all')
        client.release()
      }),
    )
    await eventually(async () => expect(await shop.log()).toHaveLength(30))
  })

  test('works when the store itself has no connection for longer than a transaction, and makes nobody fail', async () => {
    const shop = await publishing(url, poolWith(url, hostile, 4))
    const sequencer = shop.sequence({ pollMs: 1, rotateEveryMs: 5, batchSize: 3 })
    const users = await Promise.all([shop.user(), shop.user(), shop.user(), shop.user()])
    await Promise.all(
      users.map(async (user, index) => {
        await user.query('set default_transaction_isolation = serializable')
        for (let round = 0; round < 15; round++) await publishAlone(shop, user, `user:${index}`, round)
      }),
    )
    await eventually(() => expect(sequencer.status.moved).toBe(4 * 15))
    for (const index of users.keys()) expect(await shop.log(`user:${index}`)).toEqual(Array.from({ length: 15 }, (_, round) => round))
  })

  test('is refused where the trigger that gives an event its place would be left out', async () => {
    const shop = await publishing(url)
    const user = await shop.user()
    await user.query('begin; set local session_replication_role = replica')
    await expect(shop.outbox(user).publish(happened(1), { stream: 'order:1' })).rejects.toThrow(/session_replication_role/)
    await user.query('rollback')
  })
})

describeOnPostgres('the role of the transaction', (url) => {
  test('needs the two rights that are documented, and no more; without them it is told', async () => {
    const shop = await publishing(url)
    const admin = await shop.user()
    const role = freshSchema()
    await admin.query(`create role ${role} nologin`)
    const pool = poolWith(url, `-c role=${role}`, 1)
    const user = await pool.connect()
    const publish = async (data: unknown) => {
      await user.query('begin')
      await shop
        .outbox(user)
        .publish(happened(data), { stream: 'order:1' })
        .finally(() => user.query('commit'))
    }
    try {
      await expect(publish(1)).rejects.toThrow(UnsupportedStoreError)
      await admin.query(`grant usage on schema ${shop.schema} to ${role}`)
      await expect(publish(2)).rejects.toThrow(/may not publish .*GRANT EXECUTE ON FUNCTION "\w+"\.stage\(text\)/)
      await admin.query(`grant execute on function ${shop.schema}.stage(text) to ${role}`)
      await publish(3)
      await expect(user.query(`select * from ${shop.schema}.staged_events`)).rejects.toThrow(/permission denied/)
      await expect(user.query(`insert into ${shop.schema}.staged_order values (0, 0, 0, '1')`)).rejects.toThrow(/permission denied/)
      // The number is taken at the commit, when the role may be another one.
      await admin.query(`begin; set local role ${role}`)
      await shop.outbox(admin).publish(happened(4), { stream: 'order:1' })
      await admin.query('reset role; commit')
      shop.sequence()
      await eventually(async () => expect(await shop.log()).toEqual([3, 4]))
    } finally {
      user.release()
      await admin.query(`drop owned by ${role}; drop role ${role}`)
    }
  })

  test('may be another than that of the sequencer, which need not own the tables to empty them', async () => {
    const shop = await publishing(url)
    const user = await shop.user()
    const role = freshSchema()
    await user.query(`create role ${role} nologin; grant usage on schema ${shop.schema} to ${role};
      grant select, insert, update, delete on all tables in schema ${shop.schema} to ${role};
      grant usage on all sequences in schema ${shop.schema} to ${role}`)
    try {
      const store = await EventStore.open(postgres(poolWith(url, `-c role=${role}`), { schema: shop.schema }), {
        migrate: false,
        log: silentLog,
      })
      const sequencer = new Sequencer({ store, leases: new LeaseKeeper(store) }, { rotateEveryMs: 1 })
      sequencer.start()
      await publishAlone(shop, user, 'order:1', 1)
      await eventually(async () => {
        const { rows } = await user.query(`select count(*)::int from ${shop.schema}.staged_events`)
        expect([sequencer.status.moved, rows]).toEqual([1, [{ count: 0 }]])
      })
      await sequencer.stop()
      await store.close()
    } finally {
      await user.query(`drop owned by ${role}; drop role ${role}`)
    }
  })

  test('cannot make the store run functions of its own', async () => {
    const shop = await publishing(url)
    const user = await shop.user()
    const schema = freshSchema()
    try {
      await user.query(`create schema ${schema}; create function ${schema}.nextval(text) returns bigint language plpgsql as
        $$ begin raise 'taken over'; end $$; create function ${schema}.nextval(regclass) returns bigint language plpgsql as
        $$ begin raise 'taken over'; end $$; set search_path = ${schema}, pg_catalog`)
      await publishAlone(shop, user, 'order:1', 'safe')
    } finally {
      await user.query(`drop schema ${schema} cascade`)
    }
    shop.sequence()
    await eventually(async () => expect(await shop.log()).toEqual(['safe']))
  })

  test('is told where there is no store, and gets every other error as it is', async () => {
    const shop = await publishing(url)
    const user = await shop.user()
    await user.query('begin')
    const nowhere = outbox(user, { schema: freshSchema() }).publish(happened(1), { stream: 'order:1' })
    await expect(nowhere).rejects.toThrow(/there is no store in the schema .* headwater migrate/)
    const failed = shop.outbox(user).publish(happened(1), { stream: 'order:1' })
    await expect(failed).rejects.toMatchObject({ code: '25P02' })
    await user.query('rollback')
  })
})

function expectLength<T>(items: readonly T[], length: number): readonly T[] {
  expect(items).toHaveLength(length)
  return items
}
