import { orderTopic } from '../orders/events.ts'
import type { Bank } from './bank.ts'
import { chargeWith } from './charge.ts'
import { paymentTopic } from './events.ts'

export const paymentsWith = (bank: Bank) => ({ handlers: [chargeWith(bank)], publishes: [paymentTopic], subscribes: [orderTopic] })
