import type { Command } from 'commander'
import { run } from '../command.ts'
import type { ChangeOptions } from '../dead-letters/carry-out.ts'
import { actionOptions, addChangeOptions, carryOut, requireLetter } from '../dead-letters/carry-out.ts'
import { DeadLetters } from '../../processing/dead-letters.ts'
import { withStore } from '../open-store.ts'

export function addRetry(deadLetters: Command): void {
  const retry = deadLetters
    .command('retry <ID>')
    .summary('try one again, now')
    .description(
      'Has the message handled once more. When it succeeds, those that wait behind it go on by themselves; when it fails again, the exit code is 1. An ' +
        'event that a relay could not publish comes after the later ones of its key then: those did not wait.',
    )
    .option('--reason <TEXT>', 'why, for the record')
  addChangeOptions(retry).action(
    run<ChangeOptions, readonly [string]>(({ options, output }, id) =>
      withStore(options, { migrate: false }, async (store) => {
        const letter = await requireLetter(new DeadLetters(store), id)
        return carryOut(store, output, letter, (letters) => letters.retry(id, actionOptions(options)))
      }),
    ),
  )
}

export function addDiscard(deadLetters: Command): void {
  const discard = deadLetters
    .command('discard <ID>')
    .summary('throw one away')
    .description(
      'Has the message thrown away; those that wait behind it go on. The record of the action keeps it: headwater dead-letters actions --json.',
    )
    .requiredOption('--reason <TEXT>', 'why, for the record')
  addChangeOptions(discard).action(
    run<ChangeOptions, readonly [string]>(({ options, output }, id) =>
      withStore(options, { migrate: false }, async (store) => {
        const letter = await requireLetter(new DeadLetters(store), id)
        return carryOut(store, output, letter, (letters) => letters.discard(id, actionOptions(options)))
      }),
    ),
  )
}
