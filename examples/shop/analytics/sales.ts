import { z } from 'zod'
import { defineProjection, defineQuery } from 'headwater'
import { OutOfStock, StockDispatched } from '../inventory/events.ts'
import { OrderPlaced } from '../orders/events.ts'

export interface ProductSales {
  sku: string
  name: string
  ordered: number
  shipped: number
  /** How often somebody wanted it in vain. */
  soldOut: number
}

/** The late-comer: it came when the shop was long open, nobody changed a line for it, and it knows everything since the first order. */
export const productSales = defineProjection('product-sales', (sku): ProductSales => ({
  sku,
  name: sku,
  ordered: 0,
  shipped: 0,
  soldOut: 0,
}))
  .index('ordered', 'soldOut')
  .fold({ OrderPlaced }, ({ data }) => data.items.map(({ sku }) => sku), {
    OrderPlaced: (product, { data }) => ({
      ...product,
      name: data.items.find(({ sku }) => sku === product.sku)?.name ?? product.name,
      ordered: product.ordered + piecesOf(product.sku, data.items),
    }),
  })
  .fold({ StockDispatched }, ({ data }) => data.lines.map(({ sku }) => sku), {
    StockDispatched: (product, { data }) => ({ ...product, shipped: product.shipped + piecesOf(product.sku, data.lines) }),
  })
  .fold({ OutOfStock }, ({ data }) => data.sku, {
    OutOfStock: (product) => ({ ...product, soldOut: product.soldOut + 1 }),
  })

export const bestSellers = defineQuery('BestSellers', z.object({ limit: z.int().optional() }), productSales, ({ limit = 10 }, products) =>
  products.find({ sort: { ordered: 'descending' }, limit }),
)

function piecesOf(wanted: string, lines: readonly { readonly sku: string; readonly quantity: number }[]): number {
  return lines.reduce((sum, { sku, quantity }) => (sku === wanted ? sum + quantity : sum), 0)
}
