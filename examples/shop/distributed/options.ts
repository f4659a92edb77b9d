import { parseFlags, wholeNumber } from '../demo/flags.ts'
import { UsageError } from '../usage-error.ts'
import type { Stores } from './stores.ts'
import type { Broker } from './transports.ts'

export interface Options extends Stores {
  readonly help: boolean
  readonly broker: Broker
  /** How many orders to place before ending; undefined: until Ctrl-C. */
  readonly orders: number | undefined
  /** Orders a second, where they are not counted. */
  readonly rate: number
  /** Of the HTTP API; undefined: 4000, or the next one that is free. */
  readonly port: number | undefined
  /** Undefined: an ordinary day. */
  readonly blackFriday: BlackFriday | undefined
}

/** How a bad day goes, in milliseconds. */
export interface BlackFriday {
  /** How long the bank takes to answer as usual, and when it is slow. */
  readonly bankMs: number
  readonly slowMs: number
  /** How long each phase lasts: as usual, slow, turning everybody away. */
  readonly calmForMs: number
  readonly slowForMs: number
  readonly failForMs: number
}

export const help = `The shop as five processes with a store each, talking over a broker.

  npm run shop -- --kafka 127.0.0.1:9092               place a few orders a second, show a line a service, until Ctrl-C
  npm run shop -- --kafka 127.0.0.1:9092 --orders 500  place 500 orders, wait until all is done, check the books over all stores
  npm run shop -- --kafka 127.0.0.1:9092 --black-friday

  --kafka HOST:PORT[,…] | --rabbitmq URL | --nats HOST:PORT[,…] | --sqs ENDPOINT
                        what carries the events
  --log STORE           a store does: sqlite:PATH or postgres://…  (default: sqlite:shop/messages.db, which needs no server)
  --postgres URL        a schema for each service in this database (default: an SQLite file for each)
  --data DIRECTORY      of those files, and of the bank's ledger   (default: shop)
  --orders N            place N orders and end: exit code 0 if the books add up, 1 if they do not; 0 checks what is there
  --rate N              orders a second, without --orders          (default: 4; on Black Friday 25)
  --port N              of the HTTP API, without --orders          (default: 4000, or the next that is free)

  --black-friday        the bank gets slow, then fails, then recovers, while customers keep coming; ends with a table and the books
  --bank-ms N           how long the bank takes as usual           (default: 200)
  --slow-ms N           and when it is slow                        (default: 8000)
  --calm-for-ms N       how long all is well before, and after     (default: 30000)
  --slow-for-ms N       how long it is slow                        (default: 60000)
  --fail-for-ms N       how long it fails                          (default: 60000)
  --help`

const brokers = ['kafka', 'rabbitmq', 'nats', 'sqs', 'log'] as const
const text = { type: 'string' } as const
const hourMs = 3_600_000

/** @throws UsageError */
export function readOptions(args: readonly string[]): Options {
  const given = parseFlags(args, {
    kafka: text,
    rabbitmq: text,
    nats: text,
    sqs: text,
    log: text,
    postgres: text,
    data: text,
    orders: text,
    rate: text,
    port: text,
    'black-friday': { type: 'boolean' },
    'bank-ms': text,
    'slow-ms': text,
    'calm-for-ms': text,
    'slow-for-ms': text,
    'fail-for-ms': text,
    help: { type: 'boolean', short: 'h' },
  })
  const number = (flag: 'orders' | 'rate' | 'port', least: number, most: number): number | undefined => {
    const value = given[flag]
    return value === undefined ? undefined : wholeNumber(`--${flag}`, value, least, most)
  }
  const ms = (flag: `${'bank' | 'slow' | 'calm-for' | 'slow-for' | 'fail-for'}-ms`, usual: number): number =>
    wholeNumber(`--${flag}`, given[flag] ?? String(usual), 0, hourMs)
  const day: BlackFriday = {
    bankMs: ms('bank-ms', 200),
    slowMs: ms('slow-ms', 8_000),
    calmForMs: ms('calm-for-ms', 30_000),
    slowForMs: ms('slow-for-ms', 60_000),
    failForMs: ms('fail-for-ms', 60_000),
  }
  const directory = given.data ?? 'shop'
  const named = brokers.flatMap((kind) => (given[kind] === undefined ? [] : [{ kind, address: given[kind] }]))
  const [broker = { kind: 'log', address: `sqlite:${directory}/messages.db` } as const, ...others] = named
  if (others.length > 0) throw new UsageError(`one broker is enough: ${named.map(({ kind }) => `--${kind}`).join(' or ')}`)
  const isBlackFriday = given['black-friday'] ?? false
  if (isBlackFriday && given.orders !== undefined) throw new UsageError('on Black Friday orders are not counted: give --rate, not --orders')
  return {
    help: given.help ?? false,
    broker,
    postgres: given.postgres,
    directory,
    orders: number('orders', 0, 1_000_000),
    rate: number('rate', 1, 1_000) ?? (isBlackFriday ? 25 : 4),
    port: number('port', 0, 65_535),
    blackFriday: isBlackFriday ? day : undefined,
  }
}
