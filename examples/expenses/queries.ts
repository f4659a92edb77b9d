import { z } from 'zod'
import { defineQuery } from 'headwater'
import type { Documents, Find } from 'headwater'
import { activities, declarations, payments, rejections } from './read-models.ts'

const nothing = z.object({})

export const eventsByType = defineQuery('EventsByType', nothing, activities, (_, found) => found.find({ sort: { events: 'descending' } }))

export const paymentsByMonth = defineQuery('PaymentsByMonth', nothing, payments, (_, months) => months.find({ limit: 1_000 }))

export const rejectionsByRole = defineQuery('RejectionsByRole', nothing, rejections, (_, roles) =>
  roles.find({ sort: { rejections: 'descending' } }),
)

export const longestHistory = defineQuery('LongestHistory', nothing, declarations, async (_, found) => {
  const [longest] = await found.find({ sort: { events: 'descending' }, limit: 1 })
  return longest
})

// The rest counts documents by what is in them. An index leads to the ones in question; what goes into which group is decided here.

export const declarationsByState = defineQuery('DeclarationsByState', nothing, declarations, async (_, found) => {
  const states = new Map<string, { declarations: number; amount: number }>()
  for await (const { state, amount } of all(found)) {
    const group = states.get(state) ?? { declarations: 0, amount: 0 }
    states.set(state, { declarations: group.declarations + 1, amount: group.amount + amount })
  }
  return [...states]
    .map(([state, group]) => ({ state, ...group }))
    .toSorted((a, b) => b.declarations - a.declarations || a.state.localeCompare(b.state))
})

/** How many declarations were rejected how often, of those that were at all. */
export const declarationsByRejections = defineQuery('DeclarationsByRejections', nothing, declarations, async (_, found) => {
  const groups = new Map<number, number>()
  for await (const { rejections: times } of all(found, { where: { rejections: { from: 1 } }, sort: { rejections: 'ascending' } }))
    groups.set(times, (groups.get(times) ?? 0) + 1)
  return [...groups].map(([times, count]) => ({ times, declarations: count }))
})

/** What was paid, by the month of the payment and by who approved it. */
export const paidByMonthAndRole = defineQuery('PaidByMonthAndRole', nothing, declarations, async (_, found) => {
  const groups = new Map<string, { month: string; role: string; declarations: number; amount: number }>()
  for await (const { paidAt, approvedBy, amount } of all(found, { where: { paidAt: { from: '' } }, sort: { paidAt: 'ascending' } })) {
    const month = paidAt!.slice(0, 7)
    const role = approvedBy ?? 'nobody'
    const group = groups.get(`${month} ${role}`) ?? { month, role, declarations: 0, amount: 0 }
    groups.set(`${month} ${role}`, { ...group, declarations: group.declarations + 1, amount: group.amount + amount })
  }
  return [...groups.values()]
})

/** The times within which half, and nine tenths, of the declarations were paid, counted from their first submission. */
export const timeToPayment = defineQuery('TimeToPayment', nothing, declarations, async (_, found) => {
  const seconds: number[] = []
  for await (const { secondsToPayment } of all(found, {
    where: { secondsToPayment: { from: 0 } },
    sort: { secondsToPayment: 'ascending' },
  }))
    seconds.push(secondsToPayment!)
  const days = (share: number): number => (seconds[Math.ceil(share * seconds.length) - 1] ?? 0) / 86_400
  return { declarations: seconds.length, medianDays: days(0.5), p90Days: days(0.9) }
})

/** Every document that is found, however many there are; one page is held at a time. */
async function* all<Document, Indexed extends keyof Document, Searchable extends boolean>(
  documents: Documents<Document, Indexed, Searchable>,
  query: Find<Document, Indexed, Searchable> = {},
): AsyncGenerator<Document> {
  let after: string | undefined
  do {
    const page = await documents.page({ ...query, limit: 10_000, ...(after !== undefined && { after }) })
    yield* page.documents
    after = page.next
  } while (after !== undefined)
}
