import type { Command } from 'commander'
import type { Failure, Origin } from '../../processing/dead-letter.ts'
import { DeadLetters } from '../../processing/dead-letters.ts'
import type { OperatorAction } from '../../processing/operator-action.ts'
import { run } from '../command.ts'
import type { FoundLetter } from '../dead-letters/carry-out.ts'
import { requireLetter } from '../dead-letters/carry-out.ts'
import { withStore } from '../open-store.ts'
import { countOf, formatAge, formatDuration, inOneLine, printableLines } from '../output.ts'

export function addShow(deadLetters: Command): void {
  deadLetters
    .command('show <ID>')
    .summary('show one with all that is known of it')
    .description('Shows the message, where it came from, each attempt, the error with its stack, and what operators have done about it.')
    .action(
      run<unknown, readonly [string]>(async ({ options, output }, id) => {
        await withStore(options, { migrate: false }, async (store) => {
          const letters = new DeadLetters(store)
          const letter = await requireLetter(letters, id)
          const actions = await letters.actions({ letter: id })
          const text = describe(letter, actions, store.environment.clock.now())
          await output.say(printableLines(text), { ...letter, actions })
        })
      }),
    )
}

function describe(letter: FoundLetter, actions: readonly OperatorAction[], nowMs: number): string {
  const { attempts, edit, error, failedAt, history, id, key, message, nextAttemptAt, origin, position, state, type } = letter
  const failed = failedAt === null ? [] : [countOf(attempts, 'attempt'), `failed first ${formatAge(nowMs - Date.parse(failedAt))} ago`]
  const next = nextAttemptAt === null ? [] : [`next attempt in ${formatAge(Date.parse(nextAttemptAt) - nowMs)}`]
  return [
    `${id}: ${[state, ...failed, ...next].join(', ')}`,
    '',
    ...part('type', message && message.schemaVersion > 1 ? `${type} (v${message.schemaVersion})` : type),
    ...part('key', key),
    ...part('from', origin ? describeOrigin(origin) : `the log, position ${position}`),
    ...(message
      ? [
          ...part('stream', message.version > 0 ? `${message.stream}, version ${message.version}` : message.stream),
          ...part('message', `${message.id} of ${message.source}, ${message.time}`),
          ...part('caused by', `${message.causationId}, correlation ${message.correlationId}`),
          ...part(edit ? 'data now' : 'data', JSON.stringify(message.data, undefined, 2)),
        ]
      : part('data', 'not in the log any more')),
    ...(edit ? part('data was', JSON.stringify(edit.original, undefined, 2)) : []),
    ...(edit ? part('edited', `by ${edit.by}, ${edit.at}: ${edit.reason}`) : []),
    ...(origin?.headers && Object.keys(origin.headers).length > 0 ? part('headers', JSON.stringify(origin.headers, undefined, 2)) : []),
    ...(origin?.raw !== undefined ? part('raw body', readable(origin.raw)) : []),
    ...section(
      history.length < attempts ? `the last ${history.length} attempts` : 'attempts',
      history.map(({ at, error: reason, durationMs }) => `${at}  ${formatDuration(durationMs)}  ${inOneLine(reason)}`),
    ),
    ...(error ? section(error.code === null ? 'error' : `error, code ${error.code}`, describeFailure(error)) : []),
    ...section('asked by operators', actions.map(describeAction)),
  ].join('\n')
}

const indent = 12

/** `name        value`, the further lines of a value beneath its first. */
function part(name: string, value: string): readonly string[] {
  return [`${name.padEnd(indent)}${indented(value)}`]
}

function section(title: string, texts: readonly string[]): readonly string[] {
  return texts.length === 0 ? [] : ['', title, ...texts.map((text) => `  ${text.replaceAll('\n', '\n  ').trimEnd()}`)]
}

function indented(value: string): string {
  return value.replaceAll('\n', `\n${' '.repeat(indent)}`)
}

function describeOrigin({ topic, partition, offset }: Origin): string {
  return [
    `topic ${topic}`,
    ...(partition === null ? [] : [`partition ${partition}`]),
    ...(offset === null ? [] : [`offset ${offset}`]),
  ].join(', ')
}

/** The stack begins with the error itself, but says nothing of what lies beneath it. */
function describeFailure({ message, stack }: Failure): readonly string[] {
  if (stack === null) return [message]
  return message.includes(' <- ') ? [message, stack] : [stack]
}

/** As text where it is one, else as the base64 that is stored. */
function readable(base64: string): string {
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(Buffer.from(base64, 'base64'))
  } catch {
    return `${base64} (base64)`
  }
}

function describeAction({ requestedAt, by, kind, state, outcome, reason }: OperatorAction): string {
  return `${requestedAt}  ${kind} by ${by}: ${outcome ?? state}${reason === '' ? '' : ` (${reason})`}`
}
