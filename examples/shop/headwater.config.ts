import { Bank } from './payments/bank.ts'
import { shopWith } from './shop.ts'

/** For the command line, which works with the shop's read models and aggregates, and never with its bank. */
export const service = shopWith(new Bank({ path: ':memory:' }))
