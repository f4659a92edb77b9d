import { userInfo } from 'node:os'
import type { Command } from 'commander'
import type { DeadLetter, StoredMessage } from '../../processing/dead-letter.ts'
import type { ActionOptions } from '../../processing/dead-letters.ts'
import { DeadLetters } from '../../processing/dead-letters.ts'
import type { OperatorAction } from '../../processing/operator-action.ts'
import type { EventStore } from '../../storage/event-store.ts'
import { parseCount } from '../arguments.ts'
import type { ExitCode } from '../exit-codes.ts'
import { exitCodes, NotFoundError } from '../exit-codes.ts'
import type { Output } from '../output.ts'
import { formatAge } from '../output.ts'
import { isRelay, runnerOf } from '../processors.ts'

/** Of every command that changes a dead letter. */
export interface ChangeOptions {
  readonly by?: string
  readonly reason?: string
  readonly wait?: number
}

export const defaultWaitSeconds = 10

export function addChangeOptions(command: Command): Command {
  return command
    .option('--by <NAME>', 'who asks for it, for the record (default: the user of this machine)')
    .option('--wait <SECONDS>', `how long to wait until it is done (default: ${defaultWaitSeconds})`, parseCount)
}

export function actionOptions({ by, reason, wait = defaultWaitSeconds }: ChangeOptions): ActionOptions {
  return { by: by ?? operator(), waitMs: wait * 1_000, ...(reason !== undefined && { reason }) }
}

/** In a container a process may run as a user that has no name. */
export function operator(): string {
  try {
    return userInfo().username
  } catch {
    return `user ${process.getuid?.() ?? 'unknown'}`
  }
}

export type FoundLetter = DeadLetter & { readonly message: StoredMessage | null }

/** @throws NotFoundError that says what became of it, if that is known */
export async function requireLetter(letters: DeadLetters, id: string): Promise<FoundLetter> {
  const letter = await letters.get(id)
  if (letter) return letter
  const [last] = await letters.actions({ letter: id, limit: 1 })
  const fate =
    last?.state === 'done'
      ? `: ${last.by} asked to ${last.kind} it ${formatAge(Date.now() - Date.parse(last.requestedAt))} ago, and it ${last.outcome === 'discarded' ? 'was discarded' : last.outcome}`
      : '; if there was one, it has been dealt with'
  throw new NotFoundError(`there is no dead letter ${id}${fate}`)
}

/** Asks for an action and says how it went. */
export async function carryOut(
  store: EventStore,
  output: Output,
  letter: DeadLetter,
  ask: (letters: DeadLetters) => Promise<OperatorAction>,
): Promise<ExitCode> {
  const letters = new DeadLetters(store)
  const action = await ask(letters)
  if (action.state === 'requested') {
    await output.say(await describePending(store, action), action)
    return exitCodes.asked
  }
  await output.say(await describeOutcome(letters, action), action)
  return action.state === 'done' && action.outcome !== 'failed' ? exitCodes.ok : exitCodes.failed
}

export async function describePending(store: EventStore, { kind, letter, processor }: OperatorAction): Promise<string> {
  const pid = await runnerOf(store, processor)
  const why = pid === undefined ? `nobody runs ${processor} at the moment` : `process ${pid}, which runs ${processor}, has not done it yet`
  return `${letter}: asked to ${kind} it, but ${why}; it stays asked for, and is done as soon as the service runs (see: headwater dead-letters actions)`
}

async function describeOutcome(letters: DeadLetters, { letter: id, outcome, state }: OperatorAction): Promise<string> {
  if (state === 'refused') return `${id}: refused, ${outcome}`
  if (outcome === 'succeeded' && isRelay(id)) return `${id}: succeeded; it was published after later events of its key`
  if (outcome !== 'failed') return `${id}: ${outcome}`
  const letter = await letters.get(id)
  return `${id}: failed again, ${letter?.error?.message ?? 'for an unknown reason'}${letter ? ` (${letter.state})` : ''}`
}
