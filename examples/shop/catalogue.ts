/** What the shop sells, at what price in cents, and how often people want it. */
export interface Product {
  readonly sku: string
  readonly name: string
  readonly unitPrice: number
  readonly popularity: number
}

export const catalogue: readonly Product[] = [
  { sku: 'tea-assam', name: 'Assam tea', unitPrice: 890, popularity: 9 },
  { sku: 'tea-sencha', name: 'Sencha tea', unitPrice: 1_290, popularity: 6 },
  { sku: 'coffee-kenya', name: 'Kenya coffee', unitPrice: 1_450, popularity: 8 },
  { sku: 'cocoa', name: 'Dark cocoa', unitPrice: 750, popularity: 4 },
  { sku: 'mug', name: 'Blue mug', unitPrice: 1_600, popularity: 7 },
  { sku: 'teapot', name: 'Iron teapot', unitPrice: 5_900, popularity: 3 },
  { sku: 'kettle', name: 'Copper kettle', unitPrice: 8_900, popularity: 2 },
  { sku: 'grinder', name: 'Hand grinder', unitPrice: 11_900, popularity: 2 },
  { sku: 'honey', name: 'Heather honey', unitPrice: 980, popularity: 5 },
  { sku: 'biscuits', name: 'Ginger biscuits', unitPrice: 420, popularity: 9 },
]

export function productOf(sku: string): Product | undefined {
  return catalogue.find((product) => product.sku === sku)
}
