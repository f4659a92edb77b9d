import { runBatch } from './demo/batch.ts'
import { runLive } from './demo/live.ts'
import { noteIn } from './demo/notes.ts'
import { help, readOptions } from './demo/options.ts'
import { runUntilInterrupted } from './demo/program.ts'
import { bankPathOf, openStorage, withoutPassword } from './demo/storage.ts'
import { Bank } from './payments/bank.ts'
import { openShop } from './shop.ts'

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

await runUntilInterrupted(main)
