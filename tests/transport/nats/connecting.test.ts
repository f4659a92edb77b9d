import { spawnSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { nkeys } from '@nats-io/transport-node'
import { beforeAll, expect, test, vi } from 'vitest'
import { InvalidDefinitionError } from '../../../src/message/errors.ts'
import { environment } from '../../../src/observability/environment.ts'
import { silentLog } from '../../../src/observability/log.ts'
import { MissingPackageError } from '../../../src/storage/errors.ts'
import { TransportUnavailableError, UnsupportedBrokerError } from '../../../src/transport/errors.ts'
import type { NatsOptions } from '../../../src/transport/nats/index.ts'
import { nats } from '../../../src/transport/nats/index.ts'
import type { TransportConnection } from '../../../src/transport/port.ts'
import { describeOnBroker } from '../../support/brokers.ts'
import { programOf, startOwnServer } from './server.ts'

const connectTo = (options: NatsOptions): Promise<TransportConnection> =>
  nats(options).connect({ environment: environment({ log: silentLog }), clientName: 'headwater-test' })

test('messages are not sent again for longer than the server recognises them', () => {
  expect(() => nats({ servers: 'x', publishTimeoutMs: 60_000, duplicateWindowMs: 30_000 })).toThrow(InvalidDefinitionError)
})

describeOnBroker('NATS JetStream', 'connecting to NATS', (address) => {
  beforeAll(() => void programOf('current'), 300_000)

  test('says what to install when the client library is missing', async () => {
    for (const name of ['@nats-io/transport-node', '@nats-io/jetstream']) {
      vi.doMock(name, () => {
        throw new Error(`Cannot find package '${name}'`)
      })
      try {
        const error: unknown = await connectTo({ servers: address }).catch((reason: unknown) => reason)
        expect(error).toBeInstanceOf(MissingPackageError)
        expect((error as Error).message).toContain(`npm install ${name}`)
      } finally {
        vi.doUnmock(name)
      }
    }
  })

  test('tries each of several servers', async () => {
    const connection = await connectTo({ servers: ['127.0.0.1:1', address] })
    await connection.close()
  })

  test('logs in with a user and a password, and says when they are wrong', async () => {
    await using server = await startOwnServer('current', ['--user', 'shop', '--pass', 'secret'])
    const connection = await connectTo({ servers: server.address, user: 'shop', password: 'secret' })
    await connection.ensureTopic({ name: 'orders' })
    await connection.close()
    const error: unknown = await connectTo({ servers: server.address, user: 'shop', password: 'guess' }).catch((reason: unknown) => reason)
    expect(error).toBeInstanceOf(TransportUnavailableError)
    expect((error as Error & { cause: Error }).cause.message.toLowerCase()).toContain('authorization violation')
  })

  test('logs in with an NKey', async ({ onTestFinished }) => {
    const user = nkeys.createUser()
    const directory = mkdtempSync(join(tmpdir(), 'headwater-nats-'))
    onTestFinished(() => rmSync(directory, { recursive: true }))
    const file = join(directory, 'nats.conf')
    writeFileSync(file, `authorization { users: [ { nkey: ${user.getPublicKey()} } ] }`)
    await using server = await startOwnServer('current', ['-c', file])
    const connection = await connectTo({ servers: server.address, nkeySeed: new TextDecoder().decode(user.getSeed()) })
    await connection.ensureTopic({ name: 'orders' })
    await connection.close()
    await expect(connectTo({ servers: server.address })).rejects.toThrow(TransportUnavailableError)
  })

  test('speaks TLS, with a server whose certificate it is told of', async ({ onTestFinished, skip }) => {
    const directory = mkdtempSync(join(tmpdir(), 'headwater-nats-'))
    onTestFinished(() => rmSync(directory, { recursive: true }))
    const [cert, key] = [join(directory, 'cert.pem'), join(directory, 'key.pem')]
    const subject = ['-subj', '/CN=127.0.0.1', '-addext', 'subjectAltName=DNS:localhost,IP:127.0.0.1']
    const made = spawnSync('openssl', [
      'req',
      '-x509',
      '-newkey',
      'rsa:2048',
      '-nodes',
      '-days',
      '1',
      ...subject,
      '-keyout',
      key,
      '-out',
      cert,
    ])
    if (made.error) skip('there is no openssl')
    await using server = await startOwnServer('current', ['--tls', '--tlscert', cert, '--tlskey', key])
    const connection = await connectTo({ servers: server.address, tls: { ca: readFileSync(cert, 'utf8') } })
    await connection.ensureTopic({ name: 'orders' })
    await connection.close()
    await expect(connectTo({ servers: server.address, tls: {} }), 'nobody vouches for it').rejects.toThrow(TransportUnavailableError)
  })

  test('refuses a server without JetStream', async () => {
    await using server = await startOwnServer('current', [], { jetStream: false })
    await expect(connectTo({ servers: server.address })).rejects.toThrow(UnsupportedBrokerError)
    await expect(connectTo({ servers: server.address })).rejects.toThrow('JetStream is not enabled')
  })
})
