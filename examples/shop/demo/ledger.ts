import type { AnyEvent, EventStore, Recorded, RecordedEvent } from 'headwater'
import { OutOfStock, StockDispatched, StockReceived, StockReleased, StockReserved } from '../inventory/events.ts'
import type { Lines } from '../inventory/events.ts'
import { MessageSent } from '../notifications/events.ts'
import { OrderCancelled, OrderConfirmed, OrderPlaced, OrderShipped } from '../orders/events.ts'
import type { Item } from '../orders/events.ts'
import { PaymentFailed, PaymentReceived, PaymentRefunded } from '../payments/events.ts'

/** What the logs say about one order. */
export interface Account {
  /** `'unknown'`: others have heard of it, and it was never placed. */
  outcome: 'unknown' | 'open' | 'shipped' | 'cancelled'
  total: number
  items: readonly Item[]
  dispatched: Lines
  /** How often the warehouse has said whether it has the goods. */
  stockAnswers: number
  confirmed: boolean
  /** How often payments has said what the bank said. */
  bankAnswers: number
  charges: number
  charged: number
  refunded: number
  messages: number
}

/** The whole of a shop's logs, added up without any help of aggregates and read models. It may be one log, or one a service. */
export class Ledger {
  readonly accounts = new Map<string, Account>()
  /** Pieces by product. */
  readonly received = new Map<string, number>()
  readonly reserved = new Map<string, number>()
  readonly dispatched = new Map<string, number>()
  /** Events by their type, each counted where it came from. */
  readonly told = new Map<string, number>()
  readonly #logs: readonly Log[]
  readonly #sources: ReadonlySet<string>

  constructor(stores: readonly EventStore[]) {
    this.#logs = stores.map((store) => ({ store, through: 0, events: 0, heard: new Map() }))
    this.#sources = new Set(stores.map(({ source }) => source))
  }

  static async of(...stores: readonly EventStore[]): Promise<Ledger> {
    const ledger = new Ledger(stores)
    await ledger.catchUp()
    return ledger
  }

  /** Events in all logs. */
  get events(): number {
    return sum(this.#logs.map(({ events }) => events))
  }

  /** Events of this type in the log of this service, its own and copies of others'. */
  heard(source: string, type: string): number {
    return this.#logs.find(({ store }) => store.source === source)?.heard.get(type) ?? 0
  }

  /** Enters what has come since. */
  async catchUp(): Promise<void> {
    for (const log of this.#logs)
      for await (const event of log.store.readLog({ after: log.through })) {
        log.events++
        log.through = event.position
        increment(log.heard, event.type)
        // A copy of what another of these logs has said.
        if (event.source !== log.store.source && this.#sources.has(event.source)) continue
        increment(this.told, event.type)
        this.#enter(event)
      }
  }

  #enter(event: RecordedEvent): void {
    if (is(OrderPlaced, event)) {
      const { total, items } = event.data
      const account = this.#account(event)
      Object.assign(account, { total, items, ...(account.outcome === 'unknown' && { outcome: 'open' }) })
    } else if (is(OrderConfirmed, event)) this.#account(event).confirmed = true
    else if (is(OrderShipped, event)) this.#account(event).outcome = 'shipped'
    else if (is(OrderCancelled, event)) this.#account(event).outcome = 'cancelled'
    else if (is(MessageSent, event)) this.#account(event).messages++
    else if (is(PaymentFailed, event)) this.#account(event).bankAnswers++
    else if (is(PaymentRefunded, event)) this.#account(event).refunded += event.data.amount
    else if (is(PaymentReceived, event)) {
      const account = this.#account(event)
      account.bankAnswers++
      account.charges++
      account.charged += event.data.amount
    } else this.#enterStock(event)
  }

  #enterStock(event: RecordedEvent): void {
    if (is(StockReceived, event)) add(this.received, event.data.lines)
    else if (is(OutOfStock, event)) this.#account(event).stockAnswers++
    else if (is(StockReserved, event)) {
      this.#account(event).stockAnswers++
      add(this.reserved, event.data.lines)
    } else if (is(StockReleased, event)) add(this.reserved, event.data.lines, -1)
    else if (is(StockDispatched, event)) {
      add(this.reserved, event.data.lines, -1)
      add(this.dispatched, event.data.lines)
      this.#account(event).dispatched = event.data.lines
    }
  }

  #account({ data }: { readonly data: { readonly orderId: string } }): Account {
    let account = this.accounts.get(data.orderId)
    if (!account) this.accounts.set(data.orderId, (account = newAccount()))
    return account
  }
}

interface Log {
  readonly store: EventStore
  through: number
  events: number
  readonly heard: Map<string, number>
}

function newAccount(): Account {
  return {
    outcome: 'unknown',
    total: 0,
    items: [],
    dispatched: [],
    stockAnswers: 0,
    confirmed: false,
    bankAnswers: 0,
    charges: 0,
    charged: 0,
    refunded: 0,
    messages: 0,
  }
}

function is<Definition extends AnyEvent>(definition: Definition, event: RecordedEvent): event is RecordedEvent & Recorded<Definition> {
  return event.type === definition.type
}

function increment(counts: Map<string, number>, key: string): void {
  counts.set(key, (counts.get(key) ?? 0) + 1)
}

export function add(
  pieces: Map<string, number>,
  lines: readonly { readonly sku: string; readonly quantity: number }[],
  sign: 1 | -1 = 1,
): void {
  for (const { sku, quantity } of lines) pieces.set(sku, (pieces.get(sku) ?? 0) + sign * quantity)
}

export function sum(numbers: Iterable<number>): number {
  let total = 0
  for (const number of numbers) total += number
  return total
}
