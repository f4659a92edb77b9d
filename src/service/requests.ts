import type { AnyCommand } from '../message/command.ts'
import { InvalidDefinitionError } from '../message/errors.ts'
import { uuidv7 } from '../message/id.ts'
import type { Rejected } from '../message/outcome.ts'
import { validate } from '../message/schema.ts'
import { LogSource } from '../processing/log-source.ts'
import type { ProcessingContext } from '../processing/processor.ts'
import { streamName } from '../storage/stream-name.ts'
import type { Answer, RemotelyAccepted } from './remote-commands.ts'
import { AnswerReceived, CommandAnswered, CommandSent, RemoteCommandError, RequestTimeoutError } from './remote-commands.ts'

export interface DispatchOptions {
  /** The service that is to carry it out. */
  readonly to: string
  /** Given twice, the command is carried out once. Default: a new one. */
  readonly id?: string
  /** Commands of one key are carried out in the order in which they were sent. Default: the id. */
  readonly key?: string
}

export interface RequestOptions extends DispatchOptions {
  /** Default: 10,000. */
  readonly timeoutMs?: number
}

/** Sends commands to other services, by way of the service's own log: what was sent is on disk, and arrives whenever the other one is there. */
export class Requests {
  readonly #service: string
  readonly #sendsTo: readonly string[]
  readonly #context: ProcessingContext
  readonly #waiting = new Map<string, (answer: Answer) => void>()
  readonly #stopping = new AbortController()
  #listening: Promise<void> | undefined

  constructor(service: string, sendsTo: readonly string[], context: ProcessingContext) {
    this.#service = service
    this.#sendsTo = sendsTo
    this.#context = context
  }

  /** Resolves when the command is on disk. */
  async dispatch(command: AnyCommand, input: unknown, { to, id = uuidv7(), key = id }: DispatchOptions): Promise<{ readonly id: string }> {
    if (!this.#sendsTo.includes(to))
      throw new InvalidDefinitionError(`the service ${this.#service} does not say that it sends commands to ${to}: list it in sendsTo`)
    const data: unknown = validate(command.schema, input, command.type)
    const sent = CommandSent({ id, from: this.#service, to, key, type: command.type, data }, { id })
    await this.#context.store.append(streamName('request', id), sent)
    return { id }
  }

  async request(command: AnyCommand, input: unknown, options: RequestOptions): Promise<RemotelyAccepted | Rejected> {
    const { to, timeoutMs = 10_000, id = uuidv7() } = options
    const { clock } = this.#context.store.environment
    this.#listening ??= this.#listen()
    const timeout = new AbortController()
    const answered = new Promise<Answer>((resolve) => this.#waiting.set(id, resolve))
    try {
      await this.dispatch(command, input, { ...options, id })
      const known = await this.#knownAnswer(id)
      const late = clock.sleep(timeoutMs, AbortSignal.any([timeout.signal, this.#stopping.signal])).then(() => undefined)
      const answer = known ?? (await Promise.race([answered, late]))
      if (!answer) throw new RequestTimeoutError(command.type, to, id, timeoutMs)
      if (answer.outcome === 'failed') throw new RemoteCommandError(command.type, answer)
      if (answer.outcome === 'accepted') return { ok: true, position: answer.position ?? 0, version: answer.version ?? 0 }
      const { code = 'unknown', message = code } = answer
      return { ok: false, code, message }
    } finally {
      timeout.abort()
      this.#waiting.delete(id)
    }
  }

  async stop(): Promise<void> {
    this.#stopping.abort()
    await this.#listening
  }

  /** The command may have been sent, and answered, before. */
  async #knownAnswer(id: string): Promise<Answer | undefined> {
    for (const category of ['request', 'answer'])
      for await (const event of this.#context.store.readStream(streamName(category, id)))
        if (isAnswer(event.type)) return event.data as Answer
    return undefined
  }

  async #listen(): Promise<void> {
    const { store, tail } = this.#context
    const source = new LogSource(store, tail, [AnswerReceived.type, CommandAnswered.type])
    try {
      for await (const { events, through } of source.pages(tail.head, this.#stopping.signal)) {
        for (const { data } of events) this.#waiting.get((data as Answer).id)?.(data as Answer)
        if (events.length === 0 && through >= tail.head) await tail.grown(through, Infinity, this.#stopping.signal)
      }
    } catch (error) {
      // Whoever waits finds the answer when it asks again.
      store.environment.log('warn', 'answers could not be read', { error: String(error) })
      this.#listening = undefined
    }
  }
}

function isAnswer(type: string): boolean {
  return type === AnswerReceived.type || type === CommandAnswered.type
}
