import { stockTopic } from '../inventory/events.ts'
import { orderTopic } from '../orders/events.ts'
import { bestSellers, productSales } from './sales.ts'

export const analytics = { projections: [productSales], queries: [bestSellers], subscribes: [orderTopic, stockTopic] }
