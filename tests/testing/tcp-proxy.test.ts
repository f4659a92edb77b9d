import { once } from 'node:events'
import type { Server, Socket } from 'node:net'
import { connect, createServer } from 'node:net'
import { afterEach, beforeEach, expect, test } from 'vitest'
import type { TcpProxy } from '../../src/testing/index.ts'
import { startTcpProxy } from '../../src/testing/index.ts'
import { eventually } from '../support/eventually.ts'

let echo: Server
let echoPort: number
let proxy: TcpProxy
/** What the server behind the proxy has received. */
let received: string
const sockets: Socket[] = []

beforeEach(async () => {
  received = ''
  echo = createServer((socket) => {
    sockets.push(socket.on('error', () => {}))
    socket.on('data', (data) => {
      received += data.toString()
      socket.write(data)
    })
  })
  echo.listen(0, '127.0.0.1')
  await once(echo, 'listening')
  const address = echo.address()
  if (address === null || typeof address === 'string') throw new Error('no port')
  echoPort = address.port
  proxy = await startTcpProxy({ host: '127.0.0.1', port: echoPort })
})

afterEach(async () => {
  await proxy.close()
  for (const socket of sockets.splice(0)) socket.destroy()
  echo.close()
})

/** A connection through the proxy, with what came back over it and how it ended. */
async function client(): Promise<{ socket: Socket; readonly text: string; readonly ended: string | undefined }> {
  const socket = connect({ host: '127.0.0.1', port: proxy.port })
  sockets.push(socket)
  let text = ''
  let ended: string | undefined
  socket.on('data', (data) => (text += data.toString()))
  socket.on('error', (error) => (ended = 'code' in error ? String(error.code) : error.message))
  socket.on('close', () => (ended ??= 'closed'))
  await once(socket, 'connect')
  return {
    socket,
    get text() {
      return text
    },
    get ended() {
      return ended
    },
  }
}

/** A connection over which something has been answered. */
async function talking(): Promise<Awaited<ReturnType<typeof client>>> {
  const one = await client()
  one.socket.write('hello')
  await eventually(() => expect(one.text).toBe('hello'))
  return one
}

test('passes everything on, in both directions, until one side ends', async () => {
  const [one, other] = [await talking(), await talking()]
  expect(proxy.connections).toBe(2)
  const large = 'x'.repeat(3_000_000)
  one.socket.write(large)
  await eventually(() => expect(one.text.length).toBe(5 + large.length))
  one.socket.end()
  await eventually(() => expect(one.ended).toBe('closed'))
  await eventually(() => expect(proxy.connections).toBe(1))
  expect(other.ended).toBeUndefined()
})

test('cut breaks what is open on both sides; new connections work', async () => {
  const one = await talking()
  const serverSide = sockets.find((socket) => socket.localPort === echoPort)
  proxy.cut()
  await eventually(() => expect(one.ended).toBe('ECONNRESET'))
  await eventually(() => expect(serverSide?.destroyed).toBe(true))
  await talking()
})

test('refuse breaks what is open and what comes, until accept', async () => {
  const one = await talking()
  proxy.refuse()
  await eventually(() => expect(one.ended).toBe('ECONNRESET'))
  const refused = await client().then(
    async (late) => {
      await eventually(() => expect(late.ended).toBeDefined())
      return late.ended
    },
    (error: unknown) => (error instanceof Error && 'code' in error ? error.code : error),
  )
  expect(refused).toBe('ECONNRESET')
  expect(received).toBe('hello')
  proxy.accept()
  await talking()
})

test('blackhole keeps connections and swallows what they say, until accept', async () => {
  const before = await talking()
  proxy.blackhole()
  const during = await client()
  const unhindered = connect({ host: '127.0.0.1', port: echoPort })
  sockets.push(unhindered)
  before.socket.write(' again')
  during.socket.write(' late')
  await new Promise((resolve) => before.socket.write('', resolve))
  unhindered.write('|')
  // The server answers others: what was sent through the proxy before would have come by now.
  await eventually(() => expect(received).toContain('|'))
  expect(received).toBe('hello|')
  expect([before.ended, during.ended]).toEqual([undefined, undefined])
  proxy.accept()
  await eventually(() => expect([before.text, during.text]).toEqual(['hello again', ' late']))
  await talking()
})

test('breaks the connection when the server behind it is not there', async () => {
  const nowhere = await startTcpProxy({ host: '127.0.0.1', port: 1 })
  const socket = connect({ host: '127.0.0.1', port: nowhere.port })
  const error: unknown = await once(socket, 'close').catch((reason: unknown) => reason)
  expect(error).toMatchObject({ code: 'ECONNRESET' })
  await nowhere.close()
})

test('close breaks what is open and frees the port; once more is harmless', async () => {
  const one = await talking()
  await proxy.close()
  await eventually(() => expect(one.ended).toBe('ECONNRESET'))
  await proxy.close()
  await expect(client()).rejects.toMatchObject({ code: 'ECONNREFUSED' })
})
