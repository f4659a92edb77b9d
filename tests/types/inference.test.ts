import { spawnSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'

// What an editor shows on hovering over a definition is what the compiler writes into its declaration: plain payloads, not the machinery of a
// schema library, and the codes and names that were given. That the files in examples/ compile at all is checked with everything else by
// `npm run typecheck`; they hold no annotation but the types of states and documents.

const repository = join(import.meta.dirname, '../..')
let out: string

beforeAll(() => {
  out = mkdtempSync(join(tmpdir(), 'headwater-inference-'))
  const tsc = join(repository, 'node_modules/typescript/bin/tsc')
  const emit = ['--noEmit', 'false', '--declaration', '--emitDeclarationOnly', '--outDir', out, '--rootDir', repository]
  const { stdout, stderr } = spawnSync(
    process.execPath,
    [tsc, '--project', join(import.meta.dirname, 'examples'), '--pretty', 'false', ...emit],
    {
      cwd: repository,
      encoding: 'utf8',
    },
  )
  expect(stdout.split('\n').filter((line) => line.startsWith('tests/'))).toEqual([])
  expect(stderr).toBe('')
})

afterAll(() => rmSync(out, { recursive: true, force: true }))

/** The type of an exported constant, on one line, without where its names come from. */
function typeOf(file: string, name: string): string {
  const declarations = readFileSync(join(out, `tests/types/examples/${file}.d.ts`), 'utf8')
  // Whatever belongs to a declaration stands indented below it, or closes it with a brace.
  const found = new RegExp(`^export declare const ${name}: (.*(?:\\n[ }].*)*);$`, 'm').exec(declarations)
  return (found?.[1] ?? 'not there').replaceAll('import("headwater").', '').replaceAll(/\s+/g, ' ')
}

const placed = 'OrderPlaced: EventDefinition<"OrderPlaced", { orderId: string; total: number; currency: string; }>;'
const paid = 'OrderPaid: EventDefinition<"OrderPaid", { orderId: string; paymentId: string; }>;'
const shipped = 'OrderShipped: EventDefinition<"OrderShipped", { orderId: string; carrier: string; }>;'

describe('the type of', () => {
  test.each([
    ['an event is its payload', 'messages', 'OrderPaid', 'EventDefinition<"OrderPaid", { orderId: string; paymentId: string; }>'],
    [
      'an event of a later version is the payload of that version',
      'messages',
      'OrderPlaced',
      'EventDefinition<"OrderPlaced", { orderId: string; total: number; currency: string; }>',
    ],
    [
      'an event whose schema fills something in has its input too',
      'schemas',
      'FromValibot',
      'TransformingEvent<"FromValibot", { id: string; n: number; }, { id: string; n?: number | undefined; }>',
    ],
    [
      'an event stays what it is when it gets tags',
      'schemas',
      'NameSet',
      'TransformingEvent<"NameSet", { first: string; last: string; age: number; }, { first: string; last: string; age?: number | undefined; }>',
    ],
    [
      'a command has the codes of its rejections',
      'messages',
      'PayOrder',
      'CommandDefinition<"PayOrder", { orderId: string; paymentId: string; }, "already-paid" | "not-placed">',
    ],
    [
      'an aggregate names its state, events and commands',
      'order',
      'order',
      `Aggregate<"order", Order, { readonly ${placed} readonly ${paid} readonly ${shipped} }, { ` +
        'readonly PlaceOrder: CommandDefinition<"PlaceOrder", { orderId: string; total: number; }, "order-exists">; ' +
        'readonly PayOrder: CommandDefinition<"PayOrder", { orderId: string; paymentId: string; }, "already-paid" | "not-placed">; ' +
        'readonly ShipOrder: CommandDefinition<"ShipOrder", { orderId: string; carrier: string; }, never>; }>',
    ],
    [
      'an aggregate without any annotation has the state that it begins with',
      'aggregates',
      'counter',
      'Aggregate<"counter", number, { readonly Added: EventDefinition<"Added", { by: number; }>; }, { ' +
        'readonly Add: CommandDefinition<"Add", { id: string; by: number; }, never>; }>',
    ],
    [
      'a handler has its name, what it is on, emits and sends',
      'shop',
      'reserveStock',
      'Handler<"reserve-stock", EventDefinition<"OrderPlaced", { orderId: string; total: number; currency: string; }>, ' +
        'EventDefinition<"OutOfStock", { orderId: string; }> | EventDefinition<"StockReserved", { orderId: string; reservationId: string; }>, never>',
    ],
    [
      'a query has its parameters and answer',
      'shop',
      'orderById',
      'QueryDefinition<"OrderById", { orderId: string; }, OrderSummary | undefined>',
    ],
    [
      'a service has the names of what it handles and answers',
      'shop',
      'orders',
      'Service<"orders", "PayOrder" | "PlaceOrder" | "ShipOrder", "OrderById" | "PaidOrders" | "SearchOrders">',
    ],
  ])('%s', (_what, file, name, type) => {
    expect(typeOf(file, name)).toBe(type)
  })
})
