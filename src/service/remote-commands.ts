import type { AnyCommand } from '../message/command.ts'
import { HeadwaterError, InvalidMessageError } from '../message/errors.ts'
import { defineEvent } from '../message/event.ts'
import type { EventDefinition } from '../message/event.ts'
import type { Rejected } from '../message/outcome.ts'
import type { AnyHandler } from '../processing/handler.ts'
import { defineHandler } from '../processing/handler.ts'
import { PermanentError } from '../processing/retry.ts'
import { jsonSchema } from '../schema/json-schema.ts'
import { streamName } from '../storage/stream-name.ts'
import type { Topic } from '../transport/topic.ts'
import { defineTopic } from '../transport/topic.ts'

/** A command on its way to another service. */
export interface SentCommand {
  readonly id: string
  readonly from: string
  readonly to: string
  /** Commands of one key are carried out in order. */
  readonly key: string
  readonly type: string
  readonly data: unknown
}

/** What became of it there. */
export interface Answer {
  readonly id: string
  readonly to: string
  readonly outcome: 'accepted' | 'rejected' | 'failed'
  /** Of a rejection or an error. */
  readonly code?: string
  readonly message?: string
  /** In the other service's log. */
  readonly position?: number
  readonly version?: number
}

const answerSchema = { type: 'object', required: ['id', 'to', 'outcome'] } as const
const commandSchema = { type: 'object', required: ['id', 'from', 'to', 'key', 'type', 'data'] } as const

export const CommandSent: EventDefinition<'headwater.CommandSent', SentCommand> = defineEvent(
  'headwater.CommandSent',
  jsonSchema<SentCommand>(commandSchema),
)
export const CommandAnswered: EventDefinition<'headwater.CommandAnswered', Answer> = defineEvent(
  'headwater.CommandAnswered',
  jsonSchema<Answer>(answerSchema),
)
/** The same in the log of the service that asked, so that whichever of its processes waits for it sees it. */
export const AnswerReceived: EventDefinition<'headwater.AnswerReceived', Answer> = defineEvent(
  'headwater.AnswerReceived',
  jsonSchema<Answer>(answerSchema),
)

/** What another service has made of a command. */
export interface RemotelyAccepted {
  readonly ok: true
  /** Of its last event, in the other service's log. */
  readonly position: number
  readonly version: number
}
export type RemoteResult<Code extends string> = [Code] extends [never] ? RemotelyAccepted : RemotelyAccepted | Rejected<Code>

/** No answer came in time. The command may be carried out all the same; asking again with the same id gets its outcome. */
export class RequestTimeoutError extends HeadwaterError {
  readonly code = 'request-timeout'

  constructor(command: string, to: string, id: string, timeoutMs: number) {
    super(`${to} did not answer ${command} within ${timeoutMs} ms; it may be carried out all the same: ask again with the id ${id}`)
  }
}

/** The other service could not do anything with the command: it does not know it, or its data do not fit. */
export class RemoteCommandError extends HeadwaterError {
  readonly code = 'remote-command'
  /** The code of the error there. */
  readonly reason: string

  constructor(command: string, { code = 'unknown', message = code }: Answer) {
    super(`${command} failed where it was sent: ${message}`)
    this.reason = code
  }
}

/** The topics on which a service gets its commands and answers them. Who sends publishes on the first and subscribes to the second. */
export function commandTopics(service: string): { readonly commands: Topic; readonly answers: Topic } {
  return {
    commands: defineTopic(`commands.${service}`, {
      events: [CommandSent],
      key: ({ data }) => (data as SentCommand).key,
      where: ({ data }) => (data as SentCommand).to === service,
    }),
    answers: defineTopic(`answers.${service}`, { events: [CommandAnswered], key: ({ data }) => (data as Answer).id }),
  }
}

/** Carries out what other services send, once an id, and answers. */
export function handleSentCommands(service: string, accepts: readonly AnyCommand[]): AnyHandler {
  return defineHandler(
    'headwater-commands',
    {
      on: CommandSent,
      emits: CommandAnswered,
      sends: accepts,
      key: ({ data }) => data.key,
      stream: ({ data }) => streamName('answer', data.id),
      whenExhausted: 'dead-letter',
    },
    async ({ data: { id, from, to, type, data } }, { emit, send }) => {
      if (to !== service) return
      const answer = (outcome: Omit<Answer, 'id' | 'to'>): void => emit(CommandAnswered({ id, to: from, ...outcome }))
      const command = accepts.find((accepted) => accepted.type === type)
      if (!command) return answer({ outcome: 'failed', code: 'unknown-command', message: `${service} accepts no command ${type}` })
      try {
        const result = await send(command, data)
        if (result.ok) answer({ outcome: 'accepted', position: result.position, version: result.version })
        else answer({ outcome: 'rejected', code: result.code, message: result.message })
      } catch (error) {
        if (!(error instanceof InvalidMessageError || error instanceof PermanentError)) throw error
        answer({ outcome: 'failed', code: error.code, message: error.message })
      }
    },
  )
}

/** Notes the answers to this service's commands in its own log. */
export function receiveAnswers(service: string): AnyHandler {
  return defineHandler(
    'headwater-answers',
    { on: CommandAnswered, emits: AnswerReceived, key: ({ data }) => data.id, stream: ({ data }) => streamName('request', data.id) },
    ({ data }, { emit }) => {
      if (data.to === service) emit(AnswerReceived(data))
    },
  )
}
