import { randomUUID } from 'node:crypto'
import { once } from 'node:events'
import type { AddressInfo, Socket } from 'node:net'
import { createServer } from 'node:net'
import { join } from 'node:path'
import { describe, expect, onTestFinished, test } from 'vitest'
import type { OperatorAction } from '../../src/processing/operator-action.ts'
import { environment } from '../../src/observability/environment.ts'
import { silentLog } from '../../src/observability/log.ts'
import { sqlite } from '../../src/storage/sqlite/index.ts'
import { log } from '../../src/transport/log/index.ts'
import { sqs } from '../../src/transport/sqs/index.ts'
import { startForTest } from '../support/apps.ts'
import { describeOnBroker } from '../support/brokers.ts'
import { eventually } from '../support/eventually.ts'
import { near } from '../transport/sqs/support.ts'
import { freshDirectory, freshSqliteFile, jsonLines, runCli } from './program.ts'
import { service as post } from './topics.config.ts'

const configOf = (name: string): string[] => ['--app', join(import.meta.dirname, `${name}.config.ts`)]

describe('how much a broker still has', () => {
  test('is listed for each handler and topic of a service, and for any other group', async () => {
    const storage = await freshSqliteFile()
    const broker = join(await freshDirectory(), 'broker.db')
    const parts = { storage: sqlite(storage.slice('sqlite:'.length)), transport: log(sqlite(broker)) }
    const lag = (...args: string[]) => runCli(['lag', ...args, ...configOf('topics')], { env: { POST_BROKER: broker } })
    const app = await startForTest(post, parts)
    await eventually(async () => expect(jsonLines((await lag('--json')).stdout)).toMatchObject([{ messages: 0, problem: null }]))
    await app.stop()
    const relaying = await startForTest(post, { ...parts, run: ['relays'] })
    await relaying.store.appendAll([1, 2].map((n) => ({ stream: 'sent:1', events: { type: 'Sent', data: { n } } })))
    const row = { handler: 'reader', topic: 'letters', group: 'post.reader', partition: 0, messages: 2, problem: null }
    await eventually(async () => expect(jsonLines((await lag('--json')).stdout)).toEqual([row]))
    expect(await lag('--handler', 'reader')).toEqual({
      exitCode: 0,
      stderr: '',
      stdout: 'topic    group        partition  behind  problem\nletters  post.reader          0       2\n',
    })
    const other = await lag('--group', 'audit', '--topic', 'letters', '--json')
    expect(jsonLines(other.stdout)).toMatchObject([{ handler: null, group: 'audit', messages: 2 }])

    const unknown = await lag('--group', 'audit', '--topic', 'lettres')
    expect(unknown).toMatchObject({ exitCode: 1, stdout: expect.stringContaining('log has no topic lettres') })
    expect(await lag('--handler', 'raeder')).toMatchObject({ exitCode: 1, stderr: expect.stringContaining('it has: reader on letters') })
    expect(await lag('--group', 'audit')).toMatchObject({ exitCode: 2, stderr: expect.stringContaining('--topic') })
    const none = await runCli(['lag', ...configOf('topics')])
    expect(none).toMatchObject({ exitCode: 2, stderr: expect.stringContaining('exports no `transport`') })
  })

  test('is not waited for when the broker takes connections and says nothing', { timeout: 60_000 }, async () => {
    const silent = createServer().listen(0, '127.0.0.1')
    onTestFinished(() => void silent.close())
    const sockets = new Set<Socket>()
    silent.on('connection', (socket) => sockets.add(socket))
    onTestFinished(() => sockets.forEach((socket) => socket.destroy()))
    await once(silent, 'listening')
    const NATS_URL = `nats://127.0.0.1:${(silent.address() as AddressInfo).port}`
    const { exitCode, stderr } = await runCli(['lag', '--group', 'g', '--topic', 't', ...configOf('nats')], { env: { NATS_URL } })
    expect({ exitCode, stderr }).toEqual({
      exitCode: 3,
      stderr: `headwater: NATS cannot be reached at ${NATS_URL} [transport-unavailable]\n`,
    })
  })

  test('is not asked of a service that follows the log alone', async () => {
    const ended = await runCli(['lag', ...configOf('things')])
    expect(ended).toMatchObject({ exitCode: 1, stderr: expect.stringContaining('gets nothing from topics: its handlers follow the log') })
  })

  test('is not known while the broker does not answer, which is said with the exit code for that', async () => {
    const { exitCode, stderr, stdout } = await runCli(['lag', ...configOf('sqs')])
    expect({ exitCode, stdout }).toEqual({ exitCode: 3, stdout: '' })
    const storage = await freshSqliteFile()
    await runCli(['migrate', '--storage', storage])
    const doctor = await runCli(['doctor', ...configOf('sqs'), '--storage', storage])
    expect(doctor).toMatchObject({ exitCode: 1, stdout: expect.stringMatching(/✗ broker: .*\[transport-unavailable\]/) })
    expect(stderr).toMatch(/^headwater: http:\/\/127\.0\.0\.1:1 cannot be used: .* \[transport-unavailable\]\n$/)
  })
})

test('a broker that puts nothing aside by itself has nothing to list or to move back', async () => {
  const POST_BROKER = join(await freshDirectory(), 'broker.db')
  for (const args of [['broker'], ['move-back', 'reader']]) {
    const ended = await runCli(['dead-letters', ...args, ...configOf('topics')], { env: { POST_BROKER } })
    expect(ended).toMatchObject({
      exitCode: 1,
      stdout: '',
      stderr: expect.stringContaining('only Amazon SQS puts messages aside by itself'),
    })
  }
})

describeOnBroker('ElasticMQ', 'what SQS has put aside', (endpoint) => {
  test('is listed, and moved back to its handler, which is on record', async () => {
    const storage = await freshSqliteFile()
    await runCli(['migrate', '--storage', storage])
    const topic = `cli-${randomUUID()}`
    const env = { POST_SQS: endpoint, POST_TOPIC: topic, POST_REDRIVE: 'yes' }
    const operate = (...args: string[]) => runCli(['dead-letters', ...args, ...configOf('sqs'), '--storage', storage], { env })
    await putAside(endpoint, topic, 2)
    const listed = async () => jsonLines((await operate('broker', '--json')).stdout)
    const row = { handler: 'reader', processor: `handler:reader@${topic}`, topic, group: 'post.reader', messages: 2, lastMove: null }
    await eventually(async () => expect(await listed()).toEqual([row]))
    const { stdout } = await operate('broker')
    const doctor = await runCli(['doctor', ...configOf('sqs'), '--storage', storage], { env })
    expect(doctor.stdout).toMatch(
      /✓ broker: sqs, reachable\n! handler:reader@cli-\S+: the broker itself has put 2 messages aside\n +→ .*move-back reader\n/,
    )
    expect(stdout).toMatch(/^handler +topic +put aside +last move back\nreader +cli-\S+ +2\n$/)

    expect(await operate('move-back', 'raeder')).toMatchObject({ exitCode: 1, stderr: expect.stringContaining(`reader on ${topic}`) })
    expect(await operate('move-back', 'reader', '--rate', '501')).toMatchObject({ exitCode: 2, stdout: '' })
    const whose = `reader on ${topic}`
    expect((await operate('move-back', 'reader', '--dry-run')).stdout).toBe(`${whose}: 2 messages would be moved back\n`)
    expect((await operate('move-back', 'reader', '--cancel')).stdout).toBe(`${whose}: there is nothing to do\n`)
    expect(await listed()).toEqual([row])
    expect(await operate('move-back', 'reader', '--by', 'ada', '--reason', 'mended')).toEqual({
      exitCode: 0,
      stderr: '',
      stdout: `${whose}: about 2 messages are being moved back; see headwater dead-letters broker\n`,
    })
    await eventually(async () => expect(await listed()).toMatchObject([{ messages: 0, lastMove: { state: 'completed', moved: 2 } }]))
    expect((await operate('broker')).stdout).toMatch(/ 0 +completed, 2 moved, begun \d+ s ago\n$/)
    expect((await operate('move-back', 'reader')).stdout).toBe(`${whose}: there is nothing to do\n`)
    const actions = jsonLines<OperatorAction>((await operate('actions', '--json')).stdout)
    expect(actions).toHaveLength(1)
    expect(actions).toMatchObject([{ kind: 'move-back', by: 'ada', reason: 'mended', state: 'done', processor: row.processor }])
  }, 60_000)

  test('is told from what is never put aside', async () => {
    const topic = `cli-${randomUUID()}`
    const env = { POST_SQS: endpoint, POST_TOPIC: topic }
    const operate = (...args: string[]) => runCli(['dead-letters', ...args, ...configOf('sqs')], { env })
    expect((await operate('broker')).stdout).toContain('nothing, ever')
    expect((await operate('move-back', 'reader', '--dry-run')).stdout).toContain('`redrive` of sqs is off')
  })
})

/** Has SQS put messages aside, as processes do that die of each. */
async function putAside(endpoint: string, topic: string, count: number): Promise<void> {
  const transport = sqs(near(endpoint, { fifo: false, redrive: { maxReceiveCount: 10 } }))
  const connection = await transport.connect({ environment: environment({ log: silentLog }), clientName: 'putting-aside' })
  onTestFinished(() => connection.close())
  await connection.ensureTopic({ name: topic })
  await connection.ensureGroup(topic, 'post.reader', { at: 'end' })
  const message = () => ({ id: randomUUID(), key: 'k', attributes: {}, headers: {}, body: Buffer.from('x') })
  await connection.publish(topic, Array.from({ length: count }, message))
  const subscription = await connection.subscribe({
    topic,
    group: 'post.reader',
    startAt: { at: 'end' },
    maxMessages: 100,
    maxBytes: 1024 * 1024,
    releaseTimeoutMs: 500,
    async run(partition) {
      for await (const batch of partition.read()) await partition.release(batch)
    },
  })
  await eventually(async () => expect(await connection.deadLetters?.count(topic, 'post.reader')).toBe(count))
  await subscription.close()
}
