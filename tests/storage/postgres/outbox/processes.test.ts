import type { ChildProcess } from 'node:child_process'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import { expect, onTestFinished, test } from 'vitest'
import { eventually } from '../../../support/eventually.ts'
import { describeOnPostgres } from '../../../support/postgres.ts'
import type { Publishing } from './support.ts'
import { happened, publishing, wholeLog } from './support.ts'

describeOnPostgres('processes that move events into the log', (url) => {
  test(
    'are killed again and again, with another one standing by: nothing is lost, doubled or out of order',
    { timeout: 120_000 },
    async () => {
      const shop = await publishing(url)
      let members = [start(shop), start(shop)]
      const { published, stop } = publishAllTheTime(shop, 6)
      let moved = 0
      for (let round = 0; round < 8; round++) {
        const leader = await leaderOf(shop, members)
        // In the middle of its work: it has done some, and there is more.
        await eventually(async () => expect((await shop.store.log()).head).toBeGreaterThan(moved + 30))
        leader.kill('SIGKILL')
        moved = (await shop.store.log()).head
        members = [...members.filter((member) => member !== leader), start(shop)]
      }
      await stop()
      await expectComplete(shop, published)
    },
  )

  test('are paused while they work and go on after another took over: what they write late is refused', { timeout: 120_000 }, async () => {
    const shop = await publishing(url)
    const members = [start(shop), start(shop)]
    const { published, stop } = publishAllTheTime(shop, 4)
    for (let round = 0; round < 4; round++) {
      const leader = await leaderOf(shop, members)
      leader.kill('SIGSTOP')
      await leaderOf(
        shop,
        members.filter((member) => member !== leader),
      )
      leader.kill('SIGCONT')
    }
    await stop()
    await expectComplete(shop, published)
  })

  test('stop gracefully: the lease is free at once', async () => {
    const shop = await publishing(url)
    const member = start(shop)
    await leaderOf(shop, [member])
    member.kill('SIGTERM')
    const [code] = await once(member, 'exit')
    expect(code).toBe(0)
    expect((await shop.store.driver.processors.list()).map(({ processor, owner }) => ({ processor, owner }))).toEqual([
      { processor: 'outbox', owner: undefined },
    ])
  })
})

function start({ url, schema }: Publishing): ChildProcess {
  const script = fileURLToPath(new URL('sequencer-process.ts', import.meta.url))
  const child = spawn(process.execPath, [script, url, schema], { stdio: ['ignore', 'ignore', 'inherit'] })
  onTestFinished(() => void child.kill('SIGKILL'))
  return child
}

function leaderOf({ store }: Publishing, members: readonly ChildProcess[]): Promise<ChildProcess> {
  return eventually(async () => {
    const outbox = (await store.driver.processors.list()).find(({ processor }) => processor === 'outbox')
    const leader = members.find(({ pid }) => outbox?.owner?.startsWith(`${pid}-`))
    if (!leader) throw new Error('nobody leads')
    return leader
  })
}

interface Publishers {
  /** Of each writer, how many of its events were committed. */
  readonly published: readonly number[]
  stop(): Promise<void>
}

/** Writers that publish one event a transaction, one to three a call, each into a stream of its own. */
function publishAllTheTime(shop: Publishing, writers: number): Publishers {
  const stopping = new AbortController()
  const published = Array.from({ length: writers }, () => 0)
  const running = published.map(async (_, writer) => {
    const client = await shop.user()
    for (let round = 0; !stopping.signal.aborted; round++) {
      const count = 1 + (round % 3)
      const events = Array.from({ length: count }, (_event, index) => happened(published[writer]! + index))
      await client.query('begin')
      await shop.outbox(client).publish(events, { stream: `writer:${writer}` })
      await client.query('commit')
      published[writer]! += count
    }
  })
  return {
    published,
    async stop() {
      stopping.abort()
      await Promise.all(running)
    },
  }
}

async function expectComplete(shop: Publishing, published: readonly number[]): Promise<void> {
  const total = published.reduce((sum, count) => sum + count, 0)
  await eventually(async () => expect((await shop.store.log()).head).toBeGreaterThanOrEqual(total), 60_000)
  const streams = published.map((): unknown[] => [])
  for (const { stream, data } of await wholeLog(shop.store)) streams[Number(stream.split(':')[1])]!.push(data)
  for (const [writer, data] of streams.entries()) expect(data).toEqual(Array.from({ length: published[writer]! }, (_, index) => index))
}
