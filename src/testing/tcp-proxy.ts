import type { Socket } from 'node:net'
import { connect, createServer } from 'node:net'

export interface TcpProxyOptions {
  /** Where connections are passed on to. */
  readonly host: string
  readonly port: number
}

/** A server's address that a test can cut off, refuse or silence while client and server go on believing in it. */
export interface TcpProxy extends AsyncDisposable {
  /** On 127.0.0.1. */
  readonly port: number
  /** Connections that are open now. */
  readonly connections: number
  /** Breaks all open connections (a reset, in both directions). New ones are passed on. */
  cut(): void
  /** Breaks all open connections, and new ones as soon as they come, until `accept()`. */
  refuse(): void
  /**
   * Keeps all connections, and takes new ones, but passes nothing on until `accept()`: a network that swallows packets. What was sent
   * meanwhile is delivered then, as by a network that came back.
   */
  blackhole(): void
  /** Passes everything on again. */
  accept(): void
  /** Breaks all open connections and stops listening. */
  close(): Promise<void>
}

/**
 * Listens on a free port of 127.0.0.1 and passes each connection on to a server, until it is told not to: for tests of what a client does when
 * its broker or database goes away.
 */
export async function startTcpProxy({ host, port }: TcpProxyOptions): Promise<TcpProxy> {
  const pairs = new Set<Pair>()
  let mode: 'accepting' | 'refusing' | 'silent' = 'accepting'

  const server = createServer({ pauseOnConnect: true }, (client) => {
    if (mode === 'refusing') {
      client.on('error', ignore)
      client.resetAndDestroy()
      return
    }
    const pair = new Pair(client, connect({ host, port }))
    pairs.add(pair)
    pair.onClose(() => pairs.delete(pair))
    if (mode === 'accepting') pair.flow()
  })
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject)
    server.listen(0, '127.0.0.1', resolve)
  })
  const address = server.address()
  if (address === null || typeof address === 'string') throw new Error('the proxy has no port')

  const cut = (): void => {
    for (const pair of pairs) pair.destroy()
  }
  const close = async (): Promise<void> => {
    mode = 'refusing'
    cut()
    if (server.listening) await new Promise<void>((resolve) => server.close(() => resolve()))
  }
  return {
    port: address.port,
    get connections() {
      return pairs.size
    },
    cut,
    refuse() {
      mode = 'refusing'
      cut()
    },
    blackhole() {
      mode = 'silent'
      for (const pair of pairs) pair.hold()
    },
    accept() {
      mode = 'accepting'
      for (const pair of pairs) pair.flow()
    },
    close,
    [Symbol.asyncDispose]: close,
  }
}

/** A client's connection and the one to the server that belongs to it. */
class Pair {
  readonly #client: Socket
  readonly #server: Socket
  #isFlowing = false

  constructor(client: Socket, server: Socket) {
    this.#client = client
    this.#server = server
    for (const [socket, other] of [
      [client, server],
      [server, client],
    ] as const) {
      socket.setNoDelay(true)
      socket.on('error', ignore)
      // One side that ends by itself ends the other by way of pipe(); one that is broken breaks it.
      socket.on('close', (hadError) => (hadError ? other.resetAndDestroy() : other.destroySoon()))
    }
  }

  onClose(listener: () => void): void {
    this.#client.on('close', listener)
  }

  flow(): void {
    if (this.#isFlowing) return
    this.#isFlowing = true
    this.#client.pipe(this.#server)
    this.#server.pipe(this.#client)
  }

  hold(): void {
    this.#isFlowing = false
    this.#client.unpipe(this.#server).pause()
    this.#server.unpipe(this.#client).pause()
  }

  destroy(): void {
    this.#client.resetAndDestroy()
    this.#server.resetAndDestroy()
  }
}

/** What goes wrong with one connection is seen by its two ends; to the proxy it is no error. */
function ignore(): void {}
