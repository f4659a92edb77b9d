import { HeadwaterError } from 'headwater'
import type { ImportProgress, Log } from 'headwater'
import { openExpenses } from './expenses.ts'
import { collectFigures } from './figures.ts'
import { generateLog } from './generated-log.ts'
import { importLog } from './import-log.ts'
import { lookBack } from './look-back.ts'
import type { Options } from './options.ts'
import { help, readOptions } from './options.ts'
import { print } from './print.ts'
import { describeImport, reportAsJson } from './report.ts'
import { openStorage, withoutPassword } from './storage.ts'
import { count } from './table.ts'
import { rebuildDeclarations, verifyReadModels } from './upkeep.ts'
import { UsageError } from './usage-error.ts'

async function main(options: Options, signal: AbortSignal): Promise<number> {
  await using app = await openExpenses(await openStorage(options.storage), { log: sayErrors })
  const { file = 'a log that is made up', declarations, json } = options
  if (!json) process.stdout.write(`Importing ${file} into ${withoutPassword(options.storage)} …\n`)

  // The read models follow while the events come in.
  const imported = await importLog(app.store, options.file ?? generateLog({ declarations }), { signal, onProgress: showImport })
  clearLine()
  for (const { line, reason } of imported.badLines) process.stderr.write(`line ${line}: ${reason}\n`)
  if (imported.interrupted) {
    process.stderr.write(`${describeImport(imported)}\ninterrupted; run it again to go on\n`)
    return 130
  }
  if (imported.position === 0) {
    process.stderr.write(`${describeImport(imported)}\nthere is nothing to tell\n`)
    return 1
  }
  const importedAtMs = performance.now()
  const figures = await collectFigures(app, imported.position)
  const answeredMs = performance.now() - importedAtMs

  const pastAndPresent = await lookBack(app, figures, options)
  if (options.id !== undefined && !pastAndPresent) throw new UsageError(`there is no declaration ${options.id}`)
  const rebuilt = await rebuildDeclarations(app, {
    signal,
    onProgress: ({ position, head }) => showLine(`rebuilding: ${share(position, head)}`),
  })
  clearLine()
  const verified = await verifyReadModels(app, { signal })

  const report = { imported, answeredMs, figures, lookBack: pastAndPresent, rebuilt, verified }
  process.stdout.write(json ? `${JSON.stringify(reportAsJson(report), null, 2)}\n` : print(report))
  return imported.bad > 0 || verified.some(({ differences }) => differences.length > 0) ? 1 : 0
}

/** A read model that stands still says so at once, on the way to the time-out of whoever waits for it. */
const sayErrors: Log = (level, message, fields) => {
  if (level === 'error') process.stderr.write(`${message}: ${JSON.stringify(fields)}\n`)
}

function showImport({ imported, skipped, bytesRead, bytesTotal }: ImportProgress): void {
  showLine(`${bytesTotal ? `${share(bytesRead, bytesTotal)}  ` : ''}${count(imported)} imported  ${count(skipped)} stored already`)
}

function share(part: number, whole: number): string {
  return `${whole === 0 ? 100 : Math.floor((100 * part) / whole)} %`
}

/** On a terminal only, and written over by the next. */
function showLine(text: string): void {
  if (process.stderr.isTTY) process.stderr.write(`\r\u001b[2K${text.slice(0, (process.stderr.columns || 80) - 1)}`)
}

function clearLine(): void {
  showLine('')
}

const interruption = new AbortController()
for (const name of ['SIGINT', 'SIGTERM'] as const)
  process.on(name, () => {
    if (interruption.signal.aborted) process.exit(130)
    interruption.abort()
  })

try {
  const options = readOptions(process.argv.slice(2))
  if (options.help) process.stdout.write(`${help}\n`)
  else process.exitCode = await main(options, interruption.signal)
} catch (error) {
  // What a user can do something about is a sentence; anything else is a bug, with its stack.
  const isExpected = error instanceof UsageError || error instanceof HeadwaterError || (error instanceof Error && 'code' in error)
  process.stderr.write(`expenses: ${isExpected ? error.message : error instanceof Error ? error.stack : String(error)}\n`)
  process.exitCode = interruption.signal.aborted ? 130 : error instanceof UsageError ? 2 : 1
}
