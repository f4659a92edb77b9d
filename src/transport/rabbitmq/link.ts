import { setTimeout } from 'node:timers/promises'
import type { Channel, Connection } from 'rabbitmq-client'
import type { Environment } from '../../observability/environment.ts'
import { describeError } from '../../observability/log.ts'
import { MissingPackageError } from '../../storage/errors.ts'
import { TransportUnavailableError, UnsupportedBrokerError } from '../errors.ts'
import { greet } from './handshake.ts'
import type { Settings } from './options.ts'

/** @throws MissingPackageError */
export async function importClient(): Promise<typeof Connection> {
  try {
    return (await import('rabbitmq-client')).Connection
  } catch (error) {
    throw new MissingPackageError('rabbitmq-client', 'the RabbitMQ transport', error)
  }
}

export interface LinkOptions {
  readonly name: string
  readonly maxFrameBytes: number
  readonly environment: Environment
}

const connectTimeoutMs = 20_000
/** From one look for the reason of an outage to the next. */
const outageLooks = { firstMs: 1_000, maxMs: 30_000 }
/** How long a broker that does not answer any more may hold up closing. */
const closeTimeoutMs = 3_000

/** One connection of the client library, which it makes again when it is lost, for as long as the link is open. */
export class Link {
  readonly #connection: Connection
  readonly #environment: Environment
  /** While the connection is lost; aborted when it is there again or is not wanted any more. */
  #outage: AbortController | undefined

  /** @throws TransportUnavailableError */
  static async open(ClientConnection: typeof Connection, settings: Settings, options: LinkOptions): Promise<Link> {
    const { hostname, port } = new URL(settings.url)
    const connection = new ClientConnection({
      url: settings.url,
      ...(settings.hosts && { hosts: [port ? `${hostname}:${port}` : hostname, ...settings.hosts] }),
      ...(settings.tls && { tls: settings.tls }),
      connectionName: options.name,
      heartbeat: settings.heartbeatSec,
      // Of the server's, so that both count the frames of a message alike.
      frameMax: options.maxFrameBytes,
      retryLow: 100,
      retryHigh: 5_000,
      noDelay: true,
    })
    // Without a listener an error would end the process.
    connection.on('error', () => undefined)
    try {
      // Longer than one attempt: of a cluster's nodes the first may be away.
      await connection.onConnect(connectTimeoutMs)
    } catch (error) {
      throw new TransportUnavailableError(`RabbitMQ at ${settings.address} cannot be reached: ${describeError(error)}`, { cause: error })
    }
    return new Link(connection, settings, options)
  }

  private constructor(connection: Connection, settings: Settings, { name, environment }: LinkOptions) {
    const { address } = settings
    this.#connection = connection
    this.#environment = environment
    const { log, metrics } = environment
    connection.on('error', (error) => {
      metrics.count('headwater_transport_disconnects_total', 1, { transport: 'rabbitmq' })
      log('warn', 'the connection to RabbitMQ was lost; it is made again', { address, connection: name, error: describeError(error) })
      void this.#watchOutage(settings, name)
    })
    connection.on('connection', () => {
      this.#endOutage()
      log('info', 'connected to RabbitMQ again', { address, connection: name })
    })
    connection.on('connection.blocked', (reason) =>
      log('warn', 'RabbitMQ takes no messages for now', { address, connection: name, reason }),
    )
    connection.on('connection.unblocked', () => log('info', 'RabbitMQ takes messages again', { address, connection: name }))
  }

  /** A new channel, as soon as there is a connection. Rejects when there is none for 20 seconds, or when the link is closed. */
  async acquire(): Promise<Channel> {
    // A channel's errors are no errors of the connection, of which there are others' channels.
    const channel = await this.#connection.acquire({ emitErrorsFromChannel: true })
    channel.on('error', (error) => this.#environment.log('debug', 'a channel to RabbitMQ was closed', { error: describeError(error) }))
    return channel
  }

  /** Work on a channel of its own: one request that the broker refuses closes the channel. */
  async using<T>(work: (channel: Channel) => Promise<T>): Promise<T> {
    const channel = await this.acquire()
    try {
      return await work(channel)
    } finally {
      await this.release(channel)
    }
  }

  /** Closes the channel when the broker has got what was written to it; does not wait for a broker that does not answer. */
  async release(channel: Channel): Promise<void> {
    const timer = new AbortController()
    const late = setTimeout(closeTimeoutMs, undefined, { signal: timer.signal, ref: false }).catch(() => undefined)
    await Promise.race([channel.close(), late])
    timer.abort()
  }

  /** Waits until all channels are closed, but not for a broker that does not answer. */
  async close(): Promise<void> {
    this.#endOutage()
    const timer = new AbortController()
    const late = setTimeout(closeTimeoutMs, undefined, { signal: timer.signal }).then(
      () => this.#connection.unsafeDestroy(),
      () => undefined,
    )
    try {
      await Promise.race([this.#connection.close(), late])
    } finally {
      timer.abort()
    }
  }

  /** The client library says why a connection was lost, and nothing of why it does not come again: nobody would learn of a login that was taken back. */
  async #watchOutage(settings: Settings, name: string): Promise<void> {
    if (this.#outage) return
    const { signal } = (this.#outage = new AbortController())
    const { clock, log } = this.#environment
    for (let pauseMs = outageLooks.firstMs; !signal.aborted; pauseMs = Math.min(2 * pauseMs, outageLooks.maxMs)) {
      await clock.sleep(pauseMs, signal)
      if (signal.aborted) return
      await greet(settings).catch((error: unknown) => {
        if (signal.aborted) return
        log('warn', 'RabbitMQ is still waited for', { address: settings.address, connection: name, error: describeError(error) })
      })
    }
  }

  #endOutage(): void {
    this.#outage?.abort()
    this.#outage = undefined
  }
}

/** What a channel does with the header of a message before it looks at the body. Not among the library's public types. */
const hook = '_onHeader'
interface HeaderReader {
  [hook]?: (frame: { readonly fields: { headers?: Record<string, unknown>; contentType?: string | undefined } }) => void
}

/**
 * Makes a channel hand out bodies as the bytes they are: it would parse what is said to be JSON and decode what is said to be text, which loses large
 * numbers, malformed bytes and time. It cannot know the content type, which is therefore put among the headers.
 */
export function keepBodies(channel: Channel): void {
  const reader = channel as unknown as HeaderReader
  const onHeader = reader[hook]
  if (!onHeader)
    throw new UnsupportedBrokerError('this version of the package rabbitmq-client is not supported: npm install rabbitmq-client@5')
  reader[hook] = (frame) => {
    const { fields } = frame
    if (fields.contentType !== undefined) {
      fields.headers ??= {}
      fields.headers['content-type'] = fields.contentType
      fields.contentType = undefined
    }
    onHeader.call(channel, frame)
  }
}
