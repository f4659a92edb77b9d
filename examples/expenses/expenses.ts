import { defineService, start } from 'headwater'
import type { Environment, Storage } from 'headwater'
import { declaration } from './declaration.ts'
import {
  declarationsByRejections,
  declarationsByState,
  eventsByType,
  longestHistory,
  paidByMonthAndRole,
  paymentsByMonth,
  rejectionsByRole,
  timeToPayment,
} from './queries.ts'
import { activities, declarations, payments, rejections } from './read-models.ts'

export const readModels = [declarations, activities, rejections, payments]

/** Read models over a log that others have written, and an aggregate to look at one declaration at any time. */
export const expenses = defineService('expenses', {
  aggregates: [declaration],
  projections: readModels,
  queries: [
    eventsByType,
    declarationsByState,
    declarationsByRejections,
    rejectionsByRole,
    paymentsByMonth,
    paidByMonthAndRole,
    timeToPayment,
    longestHistory,
  ],
})

/** The lease is short: when a run was killed, the next one takes its read models over after two seconds rather than five. */
export const openExpenses = (storage: Storage, environment: Partial<Environment> = {}) =>
  start(expenses, { ...environment, storage, leaseMs: 2_000 })

export type Expenses = Awaited<ReturnType<typeof openExpenses>>
