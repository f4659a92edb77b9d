import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { prepareRabbitMq, type Program, type RabbitMqOptions } from '../../../scripts/services/rabbitmq.ts'
import { eventually } from '../../support/eventually.ts'

/** A broker that a test may kill. */
export interface OwnBroker {
  readonly url: string
  readonly managementUrl: string | undefined
  /** As a power failure would. */
  kill(): Promise<void>
  /** With what is on its disk. */
  start(): Promise<void>
  /**
   * When the broker has written down that there is this quorum queue. It confirms the queue, and messages in it, up to three seconds earlier, and
   * knows nothing of them when it is killed in between: seen with 3.10.8, 4.0.5 and 4.3.6 on one node, where no other replica knows better.
   */
  hasSaved(queue: string): Promise<void>
  /** For good. */
  remove(): Promise<void>
}

export async function startOwnBroker(options: RabbitMqOptions): Promise<OwnBroker> {
  const directory = await mkdtemp(join(tmpdir(), 'headwater-rabbitmq-'))
  const { url, managementUrl, portMapper, server, answers } = await prepareRabbitMq(directory, options)
  const mapper = run(portMapper)
  let broker: ChildProcess | undefined
  const kill = async (): Promise<void> => {
    const killed = broker
    broker = undefined
    if (killed) await end(killed)
  }
  const start = async (): Promise<void> => {
    broker = run(server)
    await eventually(answers, 60_000)
  }
  // However the test run ends.
  process.on('exit', () => {
    broker?.kill('SIGKILL')
    mapper.kill('SIGKILL')
  })
  const hasSaved = (queue: string): Promise<void> =>
    eventually(async () => {
      const files = await readdir(directory, { recursive: true })
      const names = files.filter((file) => file.endsWith('names.dets') && file.includes('quorum'))
      const contents = await Promise.all(names.map((file) => readFile(join(directory, file), 'latin1')))
      if (!contents.some((content) => content.includes(queue))) throw new Error(`${queue} is not saved yet`)
    })
  const remove = async (): Promise<void> => {
    await kill()
    await end(mapper)
    await rm(directory, { recursive: true, force: true, maxRetries: 5 })
  }
  try {
    await start()
  } catch (error) {
    await remove()
    throw error
  }
  return { url, managementUrl, kill, start, hasSaved, remove }
}

function run({ command, args, env }: Program): ChildProcess {
  return spawn(command, args, { env: { ...process.env, ...env }, stdio: 'ignore' })
}

async function end(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return
  const ended = once(child, 'exit')
  child.kill('SIGKILL')
  await ended
}
