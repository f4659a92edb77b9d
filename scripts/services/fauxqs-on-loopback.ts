// fauxqs listens on every interface, whatever it is told. A server for tests is nobody else's business, so the host is put right on the way.
//
//   node scripts/services/fauxqs-on-loopback.ts PORT DIRECTORY     the directory only so that the command line names it
import { Server } from 'node:net'
import { startFauxqs } from 'fauxqs'

type Listen = (this: Server, ...parameters: unknown[]) => Server

const listen = Server.prototype.listen as Listen
Server.prototype.listen = function (this: Server, ...parameters: unknown[]): Server {
  const [first, ...rest] = parameters
  const onLoopback = typeof first === 'object' && first !== null ? { ...first, host: '127.0.0.1' } : first
  return listen.call(this, onLoopback, ...rest)
} as Server['listen']

const server = await startFauxqs({ port: Number(process.argv[2]), logger: false })
process.on('SIGTERM', () => void server.stop().then(() => process.exit(0)))
