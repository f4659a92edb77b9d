import type * as jetstreamModule from '@nats-io/jetstream'
import type { JetStreamManager } from '@nats-io/jetstream'
import type * as transportNodeModule from '@nats-io/transport-node'
import type { ConnectionOptions, NatsConnection, NodeConnectionOptions } from '@nats-io/transport-node'
import { HeadwaterError } from '../../message/errors.ts'
import { backoffMs } from '../../storage/backoff.ts'
import { MissingPackageError } from '../../storage/errors.ts'
import { TransportClosedError, TransportUnavailableError, UnknownTopicError, UnsupportedBrokerError } from '../errors.ts'
import type { ConnectOptions } from '../port.ts'
import type { NatsOptions } from './options.ts'

/** One connection to NATS, with what the client library is needed for. */
export interface Client {
  readonly connection: NatsConnection
  /** Makes and asks after streams and consumers. */
  readonly manager: JetStreamManager
  /** `$JS.API`, or that of a domain. */
  readonly apiPrefix: string
  /** The server's, as [major, minor]. */
  readonly version: readonly [number, number]
  readonly maxPayloadBytes: number
  createInbox(): string
}

const reconnecting = { firstMs: 100, maxMs: 5_000 }

/** @throws MissingPackageError, TransportUnavailableError, UnsupportedBrokerError */
export async function openClient(options: NatsOptions, { environment, clientName }: ConnectOptions): Promise<Client> {
  const { transportNode, jetstream } = await importClients()
  let attempt = 0
  let pauseMs = 0
  const given: NodeConnectionOptions = {
    servers: [options.servers].flat(),
    name: clientName,
    maxReconnectAttempts: -1,
    // Asked several times for each attempt, and expected to give the same answer.
    reconnectDelayHandler: () => pauseMs,
    // A server that refuses the credentials while it restarts must not end the connection for ever.
    ignoreAuthErrorAbort: true,
    // Two pings without an answer: a silent connection is given up after half a minute, not after the client's six.
    pingInterval: 10_000,
    maxPingOut: 2,
    timeout: 10_000,
    noAsyncTraces: true,
    ...authentication(options, transportNode.credsAuthenticator, transportNode.nkeyAuthenticator),
    ...(options.tls && { tls: options.tls }),
    ...(options.inboxPrefix !== undefined && { inboxPrefix: options.inboxPrefix }),
  }
  const connection = await transportNode.connect(given).catch((error: unknown) => {
    throw new TransportUnavailableError(`NATS cannot be reached at ${[options.servers].flat().join(', ')}`, { cause: error })
  })
  void (async () => {
    for await (const { type } of connection.status()) {
      if (type === 'reconnect') [attempt, pauseMs] = [0, 0]
      else if (type === 'reconnecting') pauseMs = backoffMs(attempt++, reconnecting, environment.random)
    }
  })()
  try {
    const version = checkVersion(connection.info?.version)
    const domain = options.domain === undefined ? {} : { domain: options.domain }
    const manager = await jetstream.jetstreamManager(connection, { timeout: 5_000, ...domain })
    return {
      connection,
      manager,
      apiPrefix: options.domain === undefined ? '$JS.API' : `$JS.${options.domain}.API`,
      version,
      maxPayloadBytes: connection.info?.max_payload ?? 1024 * 1024,
      createInbox: () => transportNode.createInbox(options.inboxPrefix),
    }
  } catch (error) {
    await connection.close()
    if (error instanceof HeadwaterError) throw error
    if (isNotEnabled(error))
      throw new UnsupportedBrokerError('JetStream is not enabled on this NATS server, or not for this account', { cause: error })
    throw new TransportUnavailableError('JetStream does not answer', { cause: error })
  }
}

type TransportNode = typeof transportNodeModule

function authentication(
  { user, password, token, credentials, nkeySeed }: NatsOptions,
  credsAuthenticator: TransportNode['credsAuthenticator'],
  nkeyAuthenticator: TransportNode['nkeyAuthenticator'],
): Partial<ConnectionOptions> {
  const bytes = (text: string): Uint8Array => new TextEncoder().encode(text)
  if (credentials !== undefined) return { authenticator: credsAuthenticator(bytes(credentials)) }
  if (nkeySeed !== undefined) return { authenticator: nkeyAuthenticator(bytes(nkeySeed)) }
  return { ...(user !== undefined && { user }), ...(password !== undefined && { pass: password }), ...(token !== undefined && { token }) }
}

function checkVersion(version: string | undefined): readonly [number, number] {
  const [major = 0, minor = 0] = (version ?? '').split('.').map(Number)
  if (major < 2 || (major === 2 && minor < 9)) throw new UnsupportedBrokerError(`NATS ${version} is too old: 2.9 or later is needed`)
  return [major, minor]
}

async function importClients(): Promise<{ transportNode: TransportNode; jetstream: typeof jetstreamModule }> {
  const load = async <T>(name: string, module: Promise<T>): Promise<T> => {
    try {
      return await module
    } catch (error) {
      throw new MissingPackageError(name, 'the NATS transport', error)
    }
  }
  return {
    transportNode: await load('@nats-io/transport-node', import('@nats-io/transport-node')),
    jetstream: await load('@nats-io/jetstream', import('@nats-io/jetstream')),
  }
}

/** Codes of JetStream's API. The library's error classes are loaded lazily, and so cannot be asked with `instanceof`. */
export const apiErrors = {
  consumerNotFound: 10014,
  notEnabledForAccount: 10039,
  streamNotFound: 10059,
  messageTooLarge: 10054,
  headerTooLarge: 10097,
  streamSealed: 10109,
  notEnabled: 10076,
} as const

export function apiErrorCode(error: unknown): number | undefined {
  return error instanceof Error && 'code' in error && typeof error.code === 'number' ? error.code : undefined
}

function isNotEnabled(error: unknown): boolean {
  const code = apiErrorCode(error)
  return (
    code === apiErrors.notEnabled ||
    code === apiErrors.notEnabledForAccount ||
    (error instanceof Error && error.name === 'JetStreamNotEnabled')
  )
}

/** What the library throws, in the words of the port. */
export function translateError(error: unknown, topic: string): Error {
  if (error instanceof HeadwaterError) return error
  if (apiErrorCode(error) === apiErrors.streamNotFound) return new UnknownTopicError('nats', topic)
  const name = error instanceof Error ? error.name : ''
  if (name === 'ClosedConnectionError' || name === 'DrainingConnectionError') return new TransportClosedError('nats')
  return new TransportUnavailableError(
    `JetStream has failed for the topic ${topic}: ${error instanceof Error ? error.message : String(error)}`,
    {
      cause: error,
    },
  )
}
