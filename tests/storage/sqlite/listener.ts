// A process that listens and has nothing else to do.
import { sqlite } from '../../../src/storage/sqlite/index.ts'

const driver = await sqlite(process.argv[2] ?? '').open({ migrate: true })
await driver.listen(() => {})
