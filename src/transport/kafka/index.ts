import { connectCluster } from './client/connect.ts'
import { KafkaConnection } from './connection.ts'
import type { KafkaOptions } from './options.ts'
import { withDefaults } from './options.ts'
import type { Transport } from '../port.ts'

export type { KafkaLogin, KafkaOptions } from './options.ts'
export { startTransform } from './transform.ts'
export type { RunningTransform, TransformOptions } from './transform.ts'
export type { TransformContext } from './transform-attempt.ts'
export type { TransformRetry } from './transformer.ts'

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
      const { library, cluster } = await connectCluster(settings, environment, clientName)
      try {
        return new KafkaConnection(library, cluster, await cluster.maxMessageBytes())
      } catch (error) {
        await cluster.close()
        throw error
      }
    },
  }
}
