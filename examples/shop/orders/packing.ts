import { setTimeout as delay } from 'node:timers/promises'
import { ShipOrder } from './commands.ts'
import { ordersReadyToShip } from './queries.ts'
import type { OrdersApp } from './service.ts'

/**
 * The people in the warehouse: they look at the list of what is ready, pack it and ship it, until `signal` is aborted. An order that was shipped or
 * cancelled since they looked is rejected, which is all right.
 */
export async function packAndShip(
  app: OrdersApp,
  { signal, packingMs }: { readonly signal: AbortSignal; readonly packingMs: number },
): Promise<void> {
  for await (const ready of app.watch(ordersReadyToShip, { limit: 100 }, { signal })) {
    if (packingMs > 0) await delay(packingMs, undefined, { signal }).catch(() => undefined)
    await Promise.all(ready.map(({ orderId }) => app.send(ShipOrder, { orderId })))
  }
}
