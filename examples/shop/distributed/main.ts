import { mkdirSync } from 'node:fs'
import { printBooks } from '../demo/print-books.ts'
import { runUntilInterrupted } from '../demo/program.ts'
import { Bank } from '../payments/bank.ts'
import { auditStores } from './audit.ts'
import { help, readOptions } from './options.ts'
import { runShop } from './run.ts'
import { bankPathOf } from './stores.ts'

async function main(interrupted: AbortSignal): Promise<number> {
  const options = readOptions(process.argv.slice(2))
  if (options.help) {
    process.stdout.write(`${help}\n`)
    return 0
  }
  mkdirSync(options.directory, { recursive: true })
  using bank = new Bank({ path: bankPathOf(options) })
  const isOver = await runShop(options, bank, interrupted)
  if (!isOver) return options.orders === undefined ? 0 : 130
  return printBooks(await auditStores(options, bank)) ? 0 : 1
}

await runUntilInterrupted(main)
