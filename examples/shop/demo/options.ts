import { parseFlags, wholeNumber } from './flags.ts'

export interface Options {
  readonly help: boolean
  readonly storage: string
  /** How many orders to place before ending; undefined: until Ctrl-C. */
  readonly orders: number | undefined
  /** Orders a second, while it runs until Ctrl-C. */
  readonly rate: number
  /** Undefined: 4000, or the next one that is free. */
  readonly port: number | undefined
  readonly analytics: boolean
}

export const help = `A shop, running on Headwater.

  npm start                        place a few orders a second, show what happens, until Ctrl-C
  npm start -- --orders 500        place 500 orders, wait until all are shipped or cancelled, check the books

  --storage STORE       sqlite:PATH or postgres://user:password@host/database[?schema=NAME]   (default: sqlite:shop.db)
  --orders N            place N orders and end: exit code 0 if the books add up, 1 if they do not; 0 checks what is there
  --rate N              orders a second, without --orders                                      (default: 4)
  --port N              of the HTTP API, without --orders                                      (default: 4000, or the next that is free)
  --without-analytics   leave that service out; it catches up when it comes back
  --help`

/** @throws UsageError */
export function readOptions(args: readonly string[]): Options {
  const { storage = 'sqlite:shop.db', ...given } = parseFlags(args, {
    storage: { type: 'string' },
    orders: { type: 'string' },
    rate: { type: 'string' },
    port: { type: 'string' },
    'without-analytics': { type: 'boolean' },
    help: { type: 'boolean', short: 'h' },
  })
  return {
    help: given.help ?? false,
    storage,
    orders: given.orders === undefined ? undefined : wholeNumber('--orders', given.orders, 0, 1_000_000),
    rate: given.rate === undefined ? 4 : wholeNumber('--rate', given.rate, 1, 1_000),
    port: given.port === undefined ? undefined : wholeNumber('--port', given.port, 0, 65_535),
    analytics: !given['without-analytics'],
  }
}
