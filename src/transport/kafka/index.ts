import { Cluster } from './client/cluster.ts'
import { loadLibrary } from './client/library.ts'
import { KafkaConnection } from './connection.ts'
import type { KafkaOptions } from './options.ts'
import { withDefaults } from './options.ts'
import type { Transport } from '../port.ts'

export type { KafkaLogin, KafkaOptions } from './options.ts'

/**
 * Messages over Apache Kafka 2.4 or later, or what speaks its protocol. Needs the package `@platformatic/kafka`.
 *
 * Publishing is idempotent and waits for all replicas that are in sync. Each partition is consumed by one process of a group, from where that process
 * says; the offsets that the broker keeps are for its figures only.
 */
export function kafka(options: KafkaOptions): Transport {
  const settings = withDefaults(options)
  return {
    name: 'kafka',
    async connect({ environment, clientName }) {
      const library = await loadLibrary(settings, environment, clientName)
      const cluster = new Cluster(library)
      try {
        await cluster.check()
        return new KafkaConnection(library, cluster, await cluster.maxMessageBytes())
      } catch (error) {
        await cluster.close()
        throw error
      }
    },
  }
}
