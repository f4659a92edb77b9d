import type { EventStore } from 'headwater'
import { GoodsDelivered } from './events.ts'

export type Delivery = readonly { readonly sku: string; readonly quantity: number }[]

/** A lorry of a supplier has come to the warehouse: it says so in the log of whoever keeps the stock. */
export async function deliver(store: EventStore, lines: Delivery): Promise<void> {
  await store.append('supplier:acme', GoodsDelivered({ lines }, { source: 'acme' }))
}
