import { defineService } from 'headwater'
import { analytics } from '../analytics/service.ts'
import { OutOfStock, StockDispatched, StockReleased, StockReserved } from '../inventory/events.ts'
import { inventory } from '../inventory/service.ts'
import { notifications } from '../notifications/service.ts'
import { OrderPlaced } from '../orders/events.ts'
import { orders } from '../orders/service.ts'
import type { Bank } from '../payments/bank.ts'
import { paymentsWith } from '../payments/service.ts'
import { keepCopies } from './copies.ts'

/** The services of the shop, each by itself. Read models are made of their own service's log, so what they are about of others is copied into it. */
export const servicesWith = (bank: Bank) => ({
  orders: defineService('orders', { ...orders, handlers: [...orders.handlers, keepCopies([StockReserved, StockReleased])] }),
  inventory: defineService('inventory', inventory),
  payments: defineService('payments', paymentsWith(bank)),
  notifications: defineService('notifications', notifications),
  analytics: defineService('analytics', { ...analytics, handlers: [keepCopies([OrderPlaced, StockDispatched, OutOfStock])] }),
})

export type ServiceName = keyof ReturnType<typeof servicesWith>

/** Orders first: whoever gets their events is to be asked about them later. */
export const serviceNames: readonly ServiceName[] = ['orders', 'inventory', 'payments', 'notifications', 'analytics']
