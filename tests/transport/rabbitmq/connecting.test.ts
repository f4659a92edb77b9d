import { createServer } from 'node:net'
import { describe, expect, onTestFinished, test } from 'vitest'
import { InvalidDefinitionError } from '../../../src/message/errors.ts'
import { environment } from '../../../src/observability/environment.ts'
import { silentLog } from '../../../src/observability/log.ts'
import { TransportUnavailableError, UnsupportedBrokerError } from '../../../src/transport/errors.ts'
import type { TransportConnection } from '../../../src/transport/port.ts'
import { rabbitmq, type RabbitMqOptions } from '../../../src/transport/rabbitmq/index.ts'
import { describeOnBroker } from '../../support/brokers.ts'

function connect(options: RabbitMqOptions): Promise<TransportConnection> {
  return rabbitmq(options).connect({ environment: environment({ log: silentLog }), clientName: 'connecting' })
}

/** A server that answers the first bytes with these, and then with the next ones. */
async function serve(...answers: readonly Buffer[]): Promise<string> {
  const server = createServer((socket) => {
    let at = 0
    socket.on('error', () => undefined)
    socket.on('data', () => {
      const answer = answers[at++]
      if (answer) socket.write(answer)
      else socket.end()
    })
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  onTestFinished(() => void server.close())
  const address = server.address()
  return `amqp://127.0.0.1:${typeof address === 'object' && address ? address.port : 0}`
}

function frame(method: number, ...parameters: readonly Buffer[]): Buffer {
  const payload = Buffer.concat([Buffer.from([0, 10, 0, method]), ...parameters])
  const length = Buffer.alloc(4)
  length.writeUInt32BE(payload.length)
  return Buffer.concat([Buffer.from([1, 0, 0]), length, payload, Buffer.from([0xce])])
}

function text(value: string): Buffer {
  const length = Buffer.alloc(4)
  length.writeUInt32BE(Buffer.byteLength(value))
  return Buffer.concat([length, Buffer.from(value)])
}

const start = (product: string, version: string): Buffer => {
  const property = (name: string, value: string): string => `${String.fromCharCode(name.length)}${name}S${text(value).toString('latin1')}`
  const capabilities = `\x0ccapabilitiesF${text('\x12publisher_confirmst\x01').toString('latin1')}`
  const table = Buffer.from(capabilities + property('product', product) + property('version', version), 'latin1')
  return frame(10, Buffer.from([0, 9]), text(table.toString('latin1')), text('PLAIN'), text('en_US'))
}
const tune = frame(30, Buffer.from([0, 100, 0, 1, 0, 0, 0, 60]))
const closeOk = frame(51)

describe('connecting to RabbitMQ', () => {
  test.each([
    ['RabbitMQ', '3.9.27'],
    ['RabbitMQ', '2.8'],
    ['LavinMQ', '4.1.0'],
  ])('%s %s is refused by name', async (product, version) => {
    const url = await serve(start(product, version), tune, closeOk)
    const error: unknown = await connect({ url }).catch((reason: unknown) => reason)
    expect(error).toBeInstanceOf(UnsupportedBrokerError)
    expect(String(error)).toContain(`${product} ${version}`)
  })

  test('a server that speaks something else, or nothing, is an error that says so', async () => {
    const other = await serve(Buffer.from('AMQP\0\x01\0\0', 'latin1'))
    await expect(connect({ url: other })).rejects.toThrow('another version of AMQP')
    const silent = await serve()
    await expect(connect({ url: silent })).rejects.toThrow('closed the connection without a word')
    await expect(connect({ url: silent })).rejects.toThrow(TransportUnavailableError)
  })

  test('an url that cannot be one is refused at once', () => {
    expect(() => rabbitmq({ url: 'localhost' })).toThrow(InvalidDefinitionError)
    expect(() => rabbitmq({ url: 'http://localhost' })).toThrow(InvalidDefinitionError)
  })

  describeOnBroker('RabbitMQ', 'a broker', (url) => {
    test('that refuses the login or knows no such virtual host says so, and the password is in no message', async () => {
      const wrong = Object.assign(new URL(url), { password: 'wrong-password' }).href
      const login: unknown = await connect({ url: wrong }).catch((reason: unknown) => reason)
      expect(String(login)).toContain('ACCESS_REFUSED')
      expect(String(login)).not.toContain('wrong-password')
      const nowhere = Object.assign(new URL(url), { pathname: '/nowhere' }).href
      await expect(connect({ url: nowhere })).rejects.toThrow('nowhere')
    })

    test('of a cluster is found behind one that is away', async () => {
      const { host } = new URL(url)
      const away = Object.assign(new URL(url), { port: '1' }).href
      const connection = await connect({ url: away, hosts: [host] })
      await connection.close()
    })
  })
})
