import { HeadwaterError } from 'headwater'
import type { Log } from 'headwater'
import { runBatch, StandstillError } from './demo/batch.ts'
import { runLive } from './demo/live.ts'
import { help, readOptions } from './demo/options.ts'
import { bankPathOf, openStorage, withoutPassword } from './demo/storage.ts'
import { Bank } from './payments/bank.ts'
import { openShop } from './shop.ts'
import { UsageError } from './usage-error.ts'

async function main(interrupted: AbortSignal): Promise<number> {
  const options = readOptions(process.argv.slice(2))
  if (options.help) {
    process.stdout.write(`${help}\n`)
    return 0
  }
  const { orders, rate, analytics } = options
  const storage = await openStorage(options.storage)
  const warnings: string[] = []
  // Slow enough to watch, or as fast as it can.
  const latencyMs = orders === undefined ? Math.min(100, 400 / rate) : 0
  // One answer of a hundred gets lost, so that it can be seen what becomes of that.
  using bank = new Bank({ path: bankPathOf(options.storage), lostAnswers: 0.01, latencyMs })
  await using app = await openShop({ bank, storage, analytics }, { log: noteIn(warnings) })
  if (orders === undefined) {
    await runLive(app, options, warnings, interrupted)
    return 0
  }
  const title = `headwater shop on ${withoutPassword(options.storage)}: ${orders} orders`
  // Awaited here: what `using` holds is closed when this function is left.
  return await runBatch({ app, bank, orders, title, warnings }, interrupted)
}

/** For the screen's last line: what stands still, and why. */
function noteIn(warnings: string[]): Log {
  return (level, message, { processor, failure, retryInMs, ...fields } = {}) => {
    if (level !== 'warn' && level !== 'error') return
    // Of what failed, the reason is enough here: the event that it is about is in the log.
    const details =
      typeof processor === 'string'
        ? `${processor}: ${String(failure).split('): ').at(-1)}; again in ${String(retryInMs)} ms`
        : JSON.stringify(fields)
    warnings.push(`${new Date().toTimeString().slice(0, 8)} ${message}: ${details}`)
    if (warnings.length > 10) warnings.shift()
  }
}

const interruption = new AbortController()
for (const name of ['SIGINT', 'SIGTERM'] as const)
  process.on(name, () => {
    if (interruption.signal.aborted) process.exit(130)
    interruption.abort()
  })

try {
  process.exitCode = await main(interruption.signal)
} catch (error) {
  // What a user can do something about is a sentence; anything else is a bug, with its stack.
  const isExpected =
    error instanceof UsageError ||
    error instanceof StandstillError ||
    error instanceof HeadwaterError ||
    (error instanceof Error && 'code' in error)
  process.stderr.write(`shop: ${isExpected ? error.message : error instanceof Error ? error.stack : String(error)}\n`)
  process.exitCode = error instanceof UsageError ? 2 : 1
}
