import type { Command } from 'commander'
import { run } from '../command.ts'
import { withStore } from '../open-store.ts'
import { formatCount } from '../output.ts'

export function addMigrate(program: Command): void {
  program
    .command('migrate')
    .summary("make the store's tables, or bring them up to date")
    .description(
      "Makes the store's tables where there are none, and brings them to the version that this program needs. It may run while older programs use " +
        'the store, beside other migrations, and again when there is nothing to do.',
    )
    .action(
      run(async ({ options, output }) => {
        await withStore(options, { migrate: true }, async (store) => {
          const { head } = await store.log()
          const name = store.driver.capabilities.name
          await output.say(`the ${name} store is ready; its log ends at position ${formatCount(head)}`, { storage: name, head })
        })
      }),
    )
}
