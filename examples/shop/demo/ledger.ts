import type { AnyEvent, EventStore, Recorded, RecordedEvent } from 'headwater'
import { StockDispatched, StockReceived, StockReleased, StockReserved } from '../inventory/events.ts'
import type { Lines } from '../inventory/events.ts'
import { MessageSent } from '../notifications/events.ts'
import { OrderCancelled, OrderPlaced, OrderShipped } from '../orders/events.ts'
import type { Item } from '../orders/events.ts'
import { PaymentReceived, PaymentRefunded } from '../payments/events.ts'

/** What the log says about one order. */
export interface Account {
  outcome: 'open' | 'shipped' | 'cancelled'
  readonly total: number
  readonly items: readonly Item[]
  dispatched: Lines
  charges: number
  charged: number
  refunded: number
  messages: number
}

/** The whole log, added up without any help of aggregates and read models. */
export class Ledger {
  events = 0
  readonly accounts = new Map<string, Account>()
  /** Pieces by product. */
  readonly received = new Map<string, number>()
  readonly reserved = new Map<string, number>()
  readonly dispatched = new Map<string, number>()

  static async of(store: EventStore): Promise<Ledger> {
    const ledger = new Ledger()
    for await (const event of store.readLog()) ledger.enter(event)
    return ledger
  }

  enter(event: RecordedEvent): void {
    this.events++
    if (is(OrderPlaced, event)) this.#open(event.data)
    else if (is(OrderShipped, event)) this.#account(event).outcome = 'shipped'
    else if (is(OrderCancelled, event)) this.#account(event).outcome = 'cancelled'
    else if (is(MessageSent, event)) this.#account(event).messages++
    else if (is(PaymentRefunded, event)) this.#account(event).refunded += event.data.amount
    else if (is(PaymentReceived, event)) {
      this.#account(event).charges++
      this.#account(event).charged += event.data.amount
    } else if (is(StockReceived, event)) add(this.received, event.data.lines)
    else if (is(StockReserved, event)) add(this.reserved, event.data.lines)
    else if (is(StockReleased, event)) add(this.reserved, event.data.lines, -1)
    else if (is(StockDispatched, event)) {
      add(this.reserved, event.data.lines, -1)
      add(this.dispatched, event.data.lines)
      this.#account(event).dispatched = event.data.lines
    }
  }

  #open({ orderId, total, items }: { readonly orderId: string; readonly total: number; readonly items: readonly Item[] }): void {
    this.accounts.set(orderId, { outcome: 'open', total, items, dispatched: [], charges: 0, charged: 0, refunded: 0, messages: 0 })
  }

  #account({ data, position }: { readonly data: { readonly orderId: string }; readonly position: number }): Account {
    const account = this.accounts.get(data.orderId)
    if (!account) throw new Error(`the event at position ${position} is about the order ${data.orderId}, which was never placed`)
    return account
  }
}

function is<Definition extends AnyEvent>(definition: Definition, event: RecordedEvent): event is RecordedEvent & Recorded<Definition> {
  return event.type === definition.type
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
