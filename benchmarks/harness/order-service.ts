import { defineEvent } from '../../src/message/event.ts'
import type { AnyEvent } from '../../src/message/event.ts'
import { defineHandler } from '../../src/processing/handler.ts'
import type { AnyHandler } from '../../src/processing/handler.ts'
import type { StartPosition } from '../../src/processing/start-position.ts'
import { defineProjection } from '../../src/projection/projection.ts'
import type { AnyProjection } from '../../src/projection/projection.ts'
import { jsonSchema } from '../../src/schema/json-schema.ts'
import { silentLog } from '../../src/observability/log.ts'
import type { App } from '../../src/service/app.ts'
import { defineService } from '../../src/service/service.ts'
import { start } from '../../src/service/start.ts'
import type { Place } from './place.ts'
import { storageAt } from './place.ts'

/** The payload of every event of the order log. */
interface Line {
  readonly orderId: string
  readonly customerId: string
  readonly quantity: number
  readonly price: number
}

const line = jsonSchema<Line>({ type: 'object', required: ['orderId', 'customerId', 'quantity', 'price'] })
export const OrderPlaced = defineEvent('OrderPlaced', line)
export const ItemAdded = defineEvent('ItemAdded', line)
export const OrderPaid = defineEvent('OrderPaid', line)
export const OrderShipped = defineEvent('OrderShipped', line)
const events = { OrderPlaced, ItemAdded, OrderPaid, OrderShipped }
export const allEvents = Object.values(events)

let watchers = 0

/** A handler that has no checkpoint yet, and does nothing but call back with the position. */
export function watcher(
  onEvent: (position: number) => void,
  { on = allEvents, startAt = 'beginning' }: { readonly on?: readonly AnyEvent[]; readonly startAt?: StartPosition } = {},
): AnyHandler {
  return defineHandler(`watcher-${process.pid}-${++watchers}`, { on, startAt }, ({ position }) => onEvent(position))
}

interface Summary {
  readonly id: string
  readonly events: number
  readonly total: number
  readonly status: 'open' | 'paid' | 'shipped'
}

function summaryOf(field: 'orderId' | 'customerId', name: string): AnyProjection {
  return defineProjection(name, (id): Summary => ({ id, events: 0, total: 0, status: 'open' }))
    .index('status', 'total')
    .fold(events, (event) => event.data[field], {
      OrderPlaced: (summary, { data }) => ({ ...summary, events: summary.events + 1, total: summary.total + data.quantity * data.price }),
      ItemAdded: (summary, { data }) => ({ ...summary, events: summary.events + 1, total: summary.total + data.quantity * data.price }),
      OrderPaid: (summary) => ({ ...summary, events: summary.events + 1, status: 'paid' }),
      OrderShipped: (summary) => ({ ...summary, events: summary.events + 1, status: 'shipped' }),
    })
}

/** One document an order: 5,000 events in a row change 500 of them. */
export const orders: AnyProjection = summaryOf('orderId', 'orders')
/** One document a customer: 5,000 events in a row change nearly as many, of a million. */
export const customers: AnyProjection = summaryOf('customerId', 'customers')

export async function startOrders(
  place: Place,
  parts: { readonly handlers?: readonly AnyHandler[]; readonly projections?: readonly AnyProjection[] },
): Promise<App<never, never>> {
  return start(defineService('benchmark', parts), { storage: storageAt(place), log: silentLog })
}
