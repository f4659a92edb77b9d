import { styleText } from 'node:util'
import type { Entry } from './entry.ts'
import { count } from './format.ts'

/** @returns whether all is as it should be */
export function printBooks(books: readonly Entry[]): boolean {
  const ok = books.every(({ wrong }) => wrong.length === 0)
  for (const { claim, figures, wrong } of books) {
    const mark =
      wrong.length === 0 ? styleText('green', '✓', { stream: process.stdout }) : styleText('red', '✗', { stream: process.stdout })
    process.stdout.write(`${mark} ${claim.padEnd(48)} ${figures}\n`)
    for (const sentence of wrong.slice(0, 5)) process.stdout.write(`    ${sentence}\n`)
    if (wrong.length > 5) process.stdout.write(`    … and ${count(wrong.length - 5)} more\n`)
  }
  process.stdout.write(ok ? '\nThe books add up.\n' : '\nThe books do not add up.\n')
  return ok
}
