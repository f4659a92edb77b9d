import { defineProjection, idOf } from 'headwater'
import { evolveDeclaration, initialDeclaration } from './declaration.ts'
import { DeclarationRejected, events, PaymentHandled } from './events.ts'

/** One document a declaration: the whole of what its stream says. */
export const declarations = defineProjection('declarations', initialDeclaration)
  .index('state', 'events', 'rejections', 'paidAt', 'secondsToPayment')
  .fold(events, ({ stream }) => idOf(stream), evolveDeclaration)

export interface Activity {
  type: string
  events: number
}

const countOne = (activity: Activity): Activity => ({ ...activity, events: activity.events + 1 })

/** One document a type of event: all streams end in these few, and a page of events still costs one write each. */
export const activities = defineProjection('activities', (type): Activity => ({ type, events: 0 }))
  .index('events')
  .fold(events, ({ type }) => type, {
    DeclarationSaved: countOne,
    DeclarationSubmitted: countOne,
    DeclarationApproved: countOne,
    DeclarationFinalApproved: countOne,
    DeclarationRejected: countOne,
    PaymentRequested: countOne,
    PaymentHandled: countOne,
  })

export interface Rejections {
  role: string
  rejections: number
}

/** One document a role that rejects. A claimant who takes a rejected declaration back rejects it as well. */
export const rejections = defineProjection('rejections', (role): Rejections => ({ role, rejections: 0 }))
  .index('rejections')
  .fold({ DeclarationRejected }, ({ data }) => data.role ?? 'unknown', {
    DeclarationRejected: (counted) => ({ ...counted, rejections: counted.rejections + 1 }),
  })

export interface MonthOfPayments {
  month: string
  payments: number
  /** Millionths of a euro. */
  amount: number
}

/** One document a month, under `2017-03`. */
export const payments = defineProjection('payments', (month): MonthOfPayments => ({ month, payments: 0, amount: 0 })).fold(
  { PaymentHandled },
  ({ time }) => time.toISOString().slice(0, 7),
  { PaymentHandled: (month, { data }) => ({ ...month, payments: month.payments + 1, amount: month.amount + data.amount }) },
)
