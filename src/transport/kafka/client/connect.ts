import type { Environment } from '../../../observability/environment.ts'
import type { Settings } from '../options.ts'
import { Cluster } from './cluster.ts'
import type { Library } from './library.ts'
import { loadLibrary } from './library.ts'

/** @throws TransportUnavailableError, UnsupportedBrokerError, MissingPackageError */
export async function connectCluster(
  settings: Settings,
  environment: Environment,
  clientName: string,
): Promise<{ readonly library: Library; readonly cluster: Cluster }> {
  const library = await loadLibrary(settings, environment, clientName)
  const cluster = new Cluster(library)
  try {
    await cluster.check()
    return { library, cluster }
  } catch (error) {
    await cluster.close()
    throw error
  }
}
