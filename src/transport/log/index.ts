import { describeError } from '../../observability/log.ts'
import { MissingPackageError, UnsupportedStoreError } from '../../storage/errors.ts'
import { EventStore } from '../../storage/event-store.ts'
import type { Storage } from '../../storage/port.ts'
import { TransportUnavailableError, UnsupportedBrokerError } from '../errors.ts'
import type { Transport } from '../port.ts'
import { LogConnection } from './connection.ts'

export interface LogTransportOptions {
  /** Whether to make or migrate the store's schema while connecting. Default: true, unless NODE_ENV is `production`. */
  readonly migrate?: boolean
  /** Of one message, with its headers. Default: 1 MiB. */
  readonly maxMessageBytes?: number
  /** When a message that is not confirmed is given up while the database is away. It may have been written all the same. Default: 30,000. */
  readonly publishTimeoutMs?: number
  /** How long a topic stays with a member that is gone without a word. Default: 5,000. */
  readonly leaseTtlMs?: number
  /** How often to look for messages without having been woken. Default: 1,000. */
  readonly pollMs?: number
}

/**
 * A Headwater store as the broker, for services that share a database server and have no other: `log(postgres(url, { schema: 'messages' }))`. A topic is a
 * category of streams in that store's log. It has one partition, which one member of a group consumes at a time, and keeps its
 * messages for ever. What was published is as durable as any append, and in one order for all topics.
 */
export function log(storage: Storage, options: LogTransportOptions = {}): Transport {
  const { migrate, maxMessageBytes = 1024 * 1024, publishTimeoutMs = 30_000, leaseTtlMs = 5_000, pollMs = 1_000 } = options
  return {
    name: 'log',
    async connect({ environment, clientName }) {
      try {
        const store = await EventStore.open(storage, {
          ...environment,
          source: 'headwater',
          ...(migrate !== undefined && { migrate }),
          // What JSON makes of control characters in headers is six times as long.
          limits: { maxPayloadBytes: 8 * maxMessageBytes },
          queue: { retryForMs: publishTimeoutMs },
        })
        return await LogConnection.open(store, { clientName, maxMessageBytes, publishTimeoutMs, leaseTtlMs, pollMs })
      } catch (error) {
        if (error instanceof MissingPackageError) throw error
        const cause = { cause: error }
        if (error instanceof UnsupportedStoreError) throw new UnsupportedBrokerError(error.message, cause)
        throw new TransportUnavailableError(`the store ${storage.name} cannot be used as a log of messages: ${describeError(error)}`, cause)
      }
    },
  }
}
