import { isIP } from 'node:net'
import type * as platformatic from '@platformatic/kafka'
import type { BaseOptions } from '@platformatic/kafka'
import type { Environment } from '../../../observability/environment.ts'
import { describeError } from '../../../observability/log.ts'
import { backoffMs } from '../../../storage/backoff.ts'
import { MissingPackageError } from '../../../storage/errors.ts'
import type { Settings } from '../options.ts'

// This folder is all that knows which client library speaks to the brokers; everything outside sees the classes of this folder only.

/** The client library, and what each of its clients is made with. */
export interface Library {
  readonly kafka: typeof platformatic
  readonly settings: Settings
  readonly environment: Environment
  clientOptions(): BaseOptions
  /** Counts the connections that are lost while the client is in use, and hears its `error` events, of which an unheard one would end the process. */
  observe(client: platformatic.Base): void
}

/** @throws MissingPackageError */
export async function loadLibrary(settings: Settings, environment: Environment, clientName: string): Promise<Library> {
  const kafka = await importKafka()
  const { random, metrics, log } = environment
  const retryDelay = (_client: object, _operation: string, attempt: number): number =>
    20 + backoffMs(attempt, { firstMs: 50, maxMs: 1_000 }, random)
  // Brokers behind one address are told apart by the name that TLS asks for, which must not be an address.
  const named = settings.brokers.every((broker) => isIP(broker.replace(/:\d+$/, '')) === 0)
  return {
    kafka,
    settings,
    environment,
    clientOptions: () => ({
      // White space is not allowed in it.
      clientId: clientName.replaceAll(/\s+/g, '-'),
      bootstrapBrokers: settings.brokers,
      ...(settings.sasl && { sasl: { ...settings.sasl } }),
      ...(settings.tls && { tls: settings.tls, tlsServerName: named }),
      connectTimeout: 5_000,
      requestTimeout: 15_000,
      retryDelay,
      autocreateTopics: false,
    }),
    observe(client) {
      client.on('error', (error: unknown) => log('debug', 'a Kafka client reports an error', { error: describeError(error) }))
      client.on('client:broker:disconnect', ({ broker }) => {
        if (client.closed) return
        metrics.count('headwater_transport_disconnects_total', 1, { transport: 'kafka' })
        log('debug', 'a connection to Kafka was lost', { broker: `${broker.host}:${broker.port}` })
      })
    },
  }
}

async function importKafka(): Promise<typeof platformatic> {
  try {
    return await import('@platformatic/kafka')
  } catch (error) {
    throw new MissingPackageError('@platformatic/kafka', 'the Kafka transport', error)
  }
}
