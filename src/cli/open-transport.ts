import { environment } from '../observability/environment.ts'
import { silentLog, standardErrorLog } from '../observability/log.ts'
import type { TransportConnection } from '../transport/port.ts'
import type { AppModule } from './app-module.ts'
import type { GlobalOptions } from './command.ts'
import { UsageError } from './exit-codes.ts'

/** Runs `work` on a connection to the broker of the app's module, and closes it. @throws UsageError where it exports none */
export async function withTransport<T>(
  { path, transport }: AppModule,
  { verbose = false }: GlobalOptions,
  work: (connection: TransportConnection) => Promise<T>,
): Promise<T> {
  if (!transport) throw new UsageError(`${path} exports no \`transport\`, by which the broker would be reached`)
  const connection = await transport.connect({
    environment: environment({ log: verbose ? standardErrorLog : silentLog }),
    clientName: 'headwater',
  })
  try {
    return await work(connection)
  } finally {
    await connection.close()
  }
}
