// Builds the read model that is named, slowly (so many milliseconds an event), and tells how far it is:  build-process.ts WHAT MS sqlite PATH | WHAT MS postgres URL SCHEMA
import { silentLog } from '../../src/observability/log.ts'
import { defineService } from '../../src/service/service.ts'
import { start } from '../../src/service/start.ts'
import { postgres } from '../../src/storage/postgres/index.ts'
import { sqlite } from '../../src/storage/sqlite/index.ts'
import { visits } from './visits.ts'

const [what = '', burnMs, store, address = '', schema = ''] = process.argv.slice(2)
const storage = store === 'sqlite' ? sqlite(address) : postgres(address, { schema })
const service = defineService('visits', { projections: [visits(what, Number(burnMs))] })
const app = await start(service, { storage, log: silentLog, leaseMs: 1_000 })
setInterval(() => process.stdout.write(`${app.status().processors[0]?.position}\n`), 20)
