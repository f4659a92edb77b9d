import { readFile } from 'node:fs/promises'
import { text } from 'node:stream/consumers'
import type { Command } from 'commander'
import { DeadLetters } from '../../processing/dead-letters.ts'
import { run } from '../command.ts'
import type { ChangeOptions } from '../dead-letters/carry-out.ts'
import { actionOptions, addChangeOptions, carryOut, requireLetter } from '../dead-letters/carry-out.ts'
import { describeChange } from '../dead-letters/describe-change.ts'
import { FailedError, UsageError } from '../exit-codes.ts'
import { messageOf, withStore } from '../open-store.ts'
import { isRelay } from '../processors.ts'
import { printableLines } from '../output.ts'

interface Options extends ChangeOptions {
  readonly data: string
}

export function addEdit(deadLetters: Command): void {
  const edit = deadLetters
    .command('edit <ID>')
    .summary('have other data handled in its place')
    .description(
      'Puts other data in the place of the data of one message, and shows what changes. The original is kept beside it, and what is in the log stays as it ' +
        'is. The message is not tried yet: see headwater dead-letters retry.',
    )
    .requiredOption('--data <FILE>', 'the data as JSON, in the version of the message; - for standard input')
    .requiredOption('--reason <TEXT>', 'why, for the record')
  addChangeOptions(edit).action(
    run<Options, readonly [string]>(async ({ options, output }, id) => {
      const data = await readJson(options.data)
      return withStore(options, { migrate: false }, async (store) => {
        const letter = await requireLetter(new DeadLetters(store), id)
        if (isRelay(letter.processor))
          throw new FailedError(`${letter.processor} publishes the log, which nobody edits: append another event, and discard this one`)
        const changes = describeChange(letter.message?.data, data)
        if (changes.length === 0) throw new FailedError(`${id} has this data already`)
        if (!output.json) await output.say(printableLines(changes.map((change) => `  ${change}`).join('\n')), undefined)
        return carryOut(store, output, letter, (letters) => letters.edit(id, data, actionOptions(options)))
      })
    }),
  )
}

/** @throws UsageError */
async function readJson(file: string): Promise<unknown> {
  let content: string
  try {
    content = await (file === '-' ? text(process.stdin) : readFile(file, 'utf8'))
  } catch (error) {
    throw new UsageError(`cannot read ${file}: ${messageOf(error)}`, { cause: error })
  }
  try {
    return JSON.parse(content)
  } catch (error) {
    throw new UsageError(`${file === '-' ? 'what came on standard input' : file} is not JSON: ${messageOf(error)}`, { cause: error })
  }
}
