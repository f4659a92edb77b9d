import type { ParseArgsOptionsConfig } from 'node:util'
import { parseArgs } from 'node:util'
import { UsageError } from '../usage-error.ts'

/** @throws UsageError */
export function parseFlags<const Flags extends ParseArgsOptionsConfig>(args: readonly string[], options: Flags) {
  try {
    return parseArgs({ args: [...args], options }).values
  } catch (error) {
    const [sentence = ''] = (error instanceof Error ? error.message : String(error)).split(/\. |\n/)
    throw new UsageError(`${sentence.replace(/\.$/, '')}; --help tells what there is`, { cause: error })
  }
}

/** @throws UsageError */
export function wholeNumber(flag: string, text: string, least: number, most: number): number {
  const number = Number(text)
  if (/^\d+$/.test(text) && number >= least && number <= most) return number
  throw new UsageError(`${flag} takes a whole number from ${least} to ${most}, not '${text}'`)
}
