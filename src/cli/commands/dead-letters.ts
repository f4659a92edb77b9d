import type { Command } from 'commander'
import { addActions } from './dead-letters-actions.ts'
import { addBroker } from './dead-letters-broker.ts'
import { addEdit } from './dead-letters-edit.ts'
import { addGroups } from './dead-letters-groups.ts'
import { addList } from './dead-letters-list.ts'
import { addMoveBack } from './dead-letters-move-back.ts'
import { addRedrive } from './dead-letters-redrive.ts'
import { addDiscard, addRetry } from './dead-letters-retry.ts'
import { addShow } from './dead-letters-show.ts'

export function addDeadLetters(program: Command): void {
  const deadLetters = program
    .command('dead-letters')
    .helpCommand(false)
    .summary('look at messages that could not be handled, mend them, try them again')
    .description(
      'Works on the messages that handlers could not handle, and on those that wait behind them. Changes are asked for here and done by the process that ' +
        'runs the handler, so that nothing is overtaken; where none runs, they stay asked for, and the exit code is 4. Who asked for what, why, and ' +
        'what came of it stays on record.',
    )
  for (const add of [addList, addGroups, addShow, addRetry, addDiscard, addEdit, addRedrive, addActions, addBroker, addMoveBack])
    add(deadLetters)
}
