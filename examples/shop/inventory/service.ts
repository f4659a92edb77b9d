import { orderTopic } from '../orders/events.ts'
import { stockTopic } from './events.ts'
import { keepStock } from './reactions.ts'
import { stock } from './stock.ts'

export const inventory = { aggregates: [stock], handlers: [keepStock], publishes: [stockTopic], subscribes: [orderTopic] }
