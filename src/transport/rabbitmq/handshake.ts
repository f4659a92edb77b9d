import { connect as connectTcp, type Socket } from 'node:net'
import { connect as connectTls } from 'node:tls'
import { TransportUnavailableError } from '../errors.ts'
import type { Settings } from './options.ts'

export interface Broker {
  /** `RabbitMQ`, or what else speaks its protocol. */
  readonly product: string
  readonly version: string
  /** The largest frame that it takes, in bytes; the headers of a message must fit into one. */
  readonly maxFrameBytes: number
}

const timeoutMs = 10_000
const ourMaxFrameBytes = 131_072

// Class and method of what is exchanged while a connection is opened and closed.
const method = {
  start: 0x0a_000a,
  startOk: 0x0a_000b,
  tune: 0x0a_001e,
  tuneOk: 0x0a_001f,
  open: 0x0a_0028,
  close: 0x0a_0032,
  closeOk: 0x0a_0033,
} as const

/**
 * Opens a connection and closes it again, to learn what the client library keeps to itself: the server's product and version, and its largest
 * frame, without which the library miscounts the frames of large messages where the server has been set to smaller ones.
 * @throws TransportUnavailableError
 */
export async function greet(settings: Settings): Promise<Broker> {
  const { hostname, port } = new URL(settings.url)
  const own = port ? `${hostname}:${port}` : hostname
  let failure: unknown
  for (const host of [own, ...(settings.hosts ?? [])]) {
    try {
      return await greetHost(host, settings)
    } catch (error) {
      failure = error
    }
  }
  const reason = failure instanceof Error && failure.message ? `: ${failure.message}` : ''
  throw new TransportUnavailableError(`RabbitMQ at ${settings.address} cannot be reached${reason}`, { cause: failure })
}

async function greetHost(address: string, { url, tls }: Settings): Promise<Broker> {
  const { username, password, pathname, protocol } = new URL(url)
  const { hostname: host, port } = new URL(`amqp://${address}`)
  const isSecure = protocol === 'amqps:' || tls !== undefined
  const at = { host: host.replace(/^\[|\]$/g, ''), port: Number(port || (isSecure ? 5671 : 5672)) }
  const socket = isSecure ? connectTls({ servername: at.host, ...at, ...tls }) : connectTcp(at)
  socket.setTimeout(timeoutMs, () => socket.destroy(new Error(`no answer within ${timeoutMs} ms`)))
  try {
    socket.write('AMQP\0\0\x09\x01', 'latin1')
    let server = { product: '', version: '' }
    let maxFrameBytes = ourMaxFrameBytes
    for await (const [id, parameters] of methodsFrom(socket)) {
      if (id === method.start) {
        server = serverIn(parameters)
        socket.write(startOk(decodeURIComponent(username), decodeURIComponent(password)))
      } else if (id === method.tune) {
        const [channelMax, frameMax] = [parameters.readUInt16BE(0), parameters.readUInt32BE(2)]
        maxFrameBytes = Math.min(ourMaxFrameBytes, frameMax || ourMaxFrameBytes)
        const virtualHost = decodeURIComponent(pathname.split('/')[1] || '/')
        socket.write(Buffer.concat([tuneOk(channelMax, maxFrameBytes), open(virtualHost), close()]))
      } else if (id === method.close) {
        throw new Error(closeReason(parameters))
      } else if (id === method.closeOk) {
        return { ...server, maxFrameBytes }
      }
    }
    throw new Error('the server closed the connection without a word')
  } finally {
    socket.destroy()
  }
}

/** The id and the parameters of each method that comes. */
async function* methodsFrom(socket: Socket): AsyncGenerator<readonly [id: number, parameters: Buffer]> {
  let buffered: Buffer = Buffer.alloc(0)
  for await (const chunk of socket) {
    buffered = Buffer.concat([buffered, chunk as Buffer])
    if (buffered.toString('latin1', 0, 4) === 'AMQP') throw new Error('the server speaks another version of AMQP than 0.9.1')
    // A frame is its type, channel and length (7 bytes), what it holds, and an end mark.
    while (buffered.length >= 7 && buffered.length >= 8 + buffered.readUInt32BE(3)) {
      const end = 7 + buffered.readUInt32BE(3)
      if (buffered[0] === 1) yield [buffered.readUInt32BE(7), buffered.subarray(11, end)]
      buffered = buffered.subarray(end + 1)
    }
  }
}

/** Two of the server's properties, which are a table of named and typed values. */
function serverIn(parameters: Buffer): { readonly product: string; readonly version: string } {
  const found: Record<string, string> = {}
  const tableEnd = 6 + parameters.readUInt32BE(2)
  for (let at = 6; at < tableEnd;) {
    const nameEnd = at + 1 + parameters.readUInt8(at)
    const name = parameters.toString('utf8', at + 1, nameEnd)
    const type = String.fromCharCode(parameters.readUInt8(nameEnd))
    if (type === 't') at = nameEnd + 2
    else if (type === 'S' || type === 'F') {
      at = nameEnd + 5 + parameters.readUInt32BE(nameEnd + 1)
      if (type === 'S') found[name] = parameters.toString('utf8', nameEnd + 5, at)
    } else break
  }
  return { product: found['product'] ?? 'unknown', version: found['version'] ?? '' }
}

function startOk(username: string, password: string): Buffer {
  // Without this capability a wrong password is answered by silence and a closed socket.
  const capabilities = table(shortText('authentication_failure_close'), Buffer.from('t\x01'))
  const properties = table(shortText('capabilities'), Buffer.from('F'), capabilities)
  return frame(method.startOk, properties, shortText('PLAIN'), longText(`\0${username}\0${password}`), shortText('en_US'))
}

function tuneOk(channelMax: number, frameMax: number): Buffer {
  const parameters = Buffer.alloc(8)
  parameters.writeUInt16BE(channelMax, 0)
  parameters.writeUInt32BE(frameMax, 2)
  return frame(method.tuneOk, parameters)
}

function open(virtualHost: string): Buffer {
  return frame(method.open, shortText(virtualHost), Buffer.from([0, 0]))
}

function close(): Buffer {
  return frame(method.close, Buffer.from([0, 200, 0, 0, 0, 0, 0]))
}

function closeReason(parameters: Buffer): string {
  return parameters.toString('utf8', 3, 3 + parameters.readUInt8(2))
}

function frame(id: number, ...parameters: readonly Buffer[]): Buffer {
  const payload = Buffer.concat([Buffer.alloc(4), ...parameters])
  payload.writeUInt32BE(id, 0)
  const head = Buffer.from([1, 0, 0, 0, 0, 0, 0])
  head.writeUInt32BE(payload.length, 3)
  return Buffer.concat([head, payload, Buffer.from([0xce])])
}

function shortText(text: string): Buffer {
  const bytes = Buffer.from(text)
  return Buffer.concat([Buffer.from([bytes.length]), bytes])
}

function longText(text: string): Buffer {
  return withLength(Buffer.from(text))
}

function table(...entries: readonly Buffer[]): Buffer {
  return withLength(Buffer.concat(entries))
}

function withLength(bytes: Buffer): Buffer {
  const length = Buffer.alloc(4)
  length.writeUInt32BE(bytes.length)
  return Buffer.concat([length, bytes])
}
