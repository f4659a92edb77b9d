import type { IncomingMessage, ServerResponse } from 'node:http'
import { createServer } from 'node:http'
import { Readable } from 'node:stream'
import { text } from 'node:stream/consumers'
import { pipeline } from 'node:stream/promises'
import type { OrdersApp } from '../orders/service.ts'
import { UsageError } from '../usage-error.ts'
import type { Asked, Routes } from './routes.ts'
import { answer, orderRoutes, tableOf } from './routes.ts'

const firstPort = 4_000
const lastPort = 4_019

export interface Server extends AsyncDisposable {
  /** `http://127.0.0.1:4000/` */
  readonly url: string
}

export interface ServerOptions {
  /** Undefined: 4000, or the next one that is free. */
  readonly port: number | undefined
  /** What is served beside orders. */
  readonly more?: Routes
}

/** Serves orders on the loopback interface. */
export async function serve(app: OrdersApp, { port, more = {} }: ServerOptions): Promise<Server> {
  const table = tableOf({ ...orderRoutes, ...more })
  const server = createServer((request, response) => {
    // A connection that breaks while it is answered is the caller's business.
    handle((asked) => answer(app, table, asked), request, response).catch(() => response.destroy())
  })
  const listen = (candidate: number): Promise<void> =>
    new Promise((resolve, reject) => {
      server.once('error', reject)
      server.listen(candidate, '127.0.0.1', () => {
        server.off('error', reject)
        resolve()
      })
    })
  for (let candidate = port ?? firstPort; ; candidate++) {
    try {
      await listen(candidate)
      break
    } catch (error) {
      const isTaken = error instanceof Error && 'code' in error && error.code === 'EADDRINUSE'
      if (!isTaken) throw error
      if (port !== undefined) throw new UsageError(`port ${port} is in use: give another --port`, { cause: error })
      if (candidate === lastPort)
        throw new UsageError(`the ports ${firstPort} to ${lastPort} are in use: give a free one by --port`, { cause: error })
    }
  }
  const address = server.address()
  return {
    url: `http://127.0.0.1:${typeof address === 'object' ? address?.port : port}/`,
    async [Symbol.asyncDispose]() {
      // Pages that watch would stay for ever.
      server.closeAllConnections()
      await new Promise((resolve) => server.close(resolve))
    },
  }
}

/** Routes speak the web's `Request` and `Response`; this is the way from and to Node's. */
async function handle(respond: (asked: Asked) => Promise<Response>, request: IncomingMessage, response: ServerResponse): Promise<void> {
  const { status, headers, body } = await respond({
    method: request.method ?? 'GET',
    url: new URL(request.url ?? '/', 'http://shop'),
    readText: () => text(request),
  })
  response.writeHead(status, Object.fromEntries(headers))
  if (body) await pipeline(Readable.fromWeb(body), response)
  else response.end()
}
