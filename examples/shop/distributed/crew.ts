import type { ChildProcess } from 'node:child_process'
import { fork } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { HeadwaterError } from 'headwater'
import type { ServiceName } from './services.ts'
import { serviceNames } from './services.ts'
import type { Answer, Assignment, Load, Report, Word } from './words.ts'

const program = fileURLToPath(new URL('process.ts', import.meta.url))
const restartAfterMs = 500
/** A process that has not ended by then is killed. */
const stopWithinMs = 20_000

/** A process has said that it cannot do its work. */
export class ServiceFailedError extends HeadwaterError {
  readonly code = 'service-failed'
}

interface Member {
  readonly child: ChildProcess
  readonly ended: Promise<void>
  isReady: boolean
}

export interface CrewOptions {
  readonly assignmentOf: (service: ServiceName) => Assignment
  /** How many customers are still to come, for orders that has to begin anew; undefined before the shop opens. */
  readonly load: () => Load | undefined
  readonly onReport: (service: ServiceName, report: Report) => void
  readonly fail: (error: unknown) => void
}

/** The processes of the shop. One that dies is started again; one that says why it cannot go on ends the shop. */
export class Crew implements AsyncDisposable {
  readonly #options: CrewOptions
  readonly #members = new Map<ServiceName, Member>()
  readonly #restarts = new Map<ServiceName, number>()
  #isStopping = false

  constructor(options: CrewOptions) {
    this.#options = options
  }

  /** How often a service had to be started again. */
  restartsOf(service: ServiceName): number {
    return this.#restarts.get(service) ?? 0
  }

  /** The id of its process, for whoever wants to kill it. */
  pidOf(service: ServiceName): number | undefined {
    return this.#members.get(service)?.child.pid
  }

  /** Resolves when all are ready: each has made the queues in which it gets what the others say. */
  async start(): Promise<void> {
    await Promise.all(serviceNames.map((service) => this.#begin(service)))
  }

  tell(service: ServiceName, word: Word): void {
    // One that is down has lost its work to nobody: customers come again by `load`, and lorries too.
    const child = this.#members.get(service)?.child
    if (child?.connected) child.send(word, () => undefined)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#isStopping = true
    for (const service of serviceNames) this.tell(service, { say: 'stop' })
    const late = setTimeout(() => {
      for (const { child } of this.#members.values()) child.kill('SIGKILL')
    }, stopWithinMs)
    await Promise.all([...this.#members.values()].map(({ ended }) => ended))
    clearTimeout(late)
  }

  #begin(service: ServiceName): Promise<void> {
    const { promise, resolve, reject } = Promise.withResolvers<void>()
    // What it must know goes over the channel, since a command line is for everybody to see.
    const child = fork(program, [service], { stdio: ['ignore', 'ignore', 'inherit', 'ipc'] })
    const member: Member = { child, isReady: false, ended: new Promise((ended) => child.once('exit', () => ended())) }
    this.#members.set(service, member)
    child.on('message', (answer: Answer) => {
      if (answer.say === 'ready') {
        member.isReady = true
        resolve()
      } else if (answer.say === 'failed' && !member.isReady) reject(new ServiceFailedError(`${service}: ${answer.sentence}`))
      else this.#hear(service, answer)
    })
    child.once('exit', (code, signal) => {
      reject(new ServiceFailedError(`${service} ended before it was ready (${signal ?? code})`))
      if (this.#isStopping || !member.isReady) return
      this.#restarts.set(service, this.restartsOf(service) + 1)
      setTimeout(() => void this.#restart(service), restartAfterMs)
    })
    child.send({ say: 'begin', assignment: this.#options.assignmentOf(service) } satisfies Word)
    return promise
  }

  #hear(service: ServiceName, answer: Exclude<Answer, { say: 'ready' }>): void {
    const { fail, onReport } = this.#options
    if (answer.say === 'report') onReport(service, answer.report)
    else if (answer.say === 'order-goods') this.tell('inventory', { say: 'deliver', lines: answer.lines })
    else fail(new ServiceFailedError(`${service}: ${answer.sentence}`))
  }

  async #restart(service: ServiceName): Promise<void> {
    if (this.#isStopping) return
    try {
      await this.#begin(service)
      const load = service === 'orders' ? this.#options.load() : undefined
      if (load) this.tell(service, { say: 'open', load })
    } catch (error) {
      if (!this.#isStopping) this.#options.fail(error)
    }
  }
}
