// A process that does nothing but move events of the outbox into the log, in small batches and with tables that change often, until it is killed.
import { silentLog } from '../../../../src/observability/log.ts'
import { LeaseKeeper } from '../../../../src/processing/lease-keeper.ts'
import { Sequencer } from '../../../../src/processing/sequencer.ts'
import { EventStore } from '../../../../src/storage/event-store.ts'
import { postgres } from '../../../../src/storage/postgres/index.ts'

const [url = '', schema = ''] = process.argv.slice(2)
const store = await EventStore.open(postgres(url, { schema, poolSize: 2 }), { log: silentLog })
const leases = new LeaseKeeper(store, { ttlMs: 400 })
leases.start()
const sequencer = new Sequencer({ store, leases }, { pollMs: 1, idlePollMs: 10, batchSize: 23, rotateEveryMs: 15 })
sequencer.start()
process.on('SIGTERM', () => void stop())

async function stop(): Promise<void> {
  await sequencer.stop()
  await leases.stop()
  await store.close()
  process.exit(0)
}
