import type { App } from 'headwater'
import { productSales } from '../analytics/sales.ts'
import { customerOrders, orderSummary } from '../orders/read-models.ts'
import { orderCounts, readyToShip } from '../orders/work-lists.ts'
import type { Bank } from '../payments/bank.ts'
import type { Entry } from './entry.ts'
import { count, money } from './format.ts'
import { Ledger, sum } from './ledger.ts'
import { checkAccounts } from './order-books.ts'
import { checkStock } from './stock-books.ts'

/** What whoever checks the books must see of a running service: the whole shop, or one of those that it is made of. */
export type Audited = Pick<App<never, never>, 'store' | 'state' | 'status' | 'verify' | 'deadLetters'>

/** A service, and the read models that are made of its log. */
export interface Listener {
  readonly service: string
  readonly projections: readonly { readonly events: Readonly<Record<string, unknown>> }[]
}

const readModels = [orderSummary, customerOrders, readyToShip, orderCounts, productSales]

/** Adds up all logs, and compares with them what the aggregates, the read models and the bank have. */
export async function checkBooks(shop: Audited | readonly Audited[], bank: Bank): Promise<readonly Entry[]> {
  const apps = [shop].flat()
  const ledger = await Ledger.of(...apps.map(({ store }) => store))
  return [
    await checkLogs(apps, ledger),
    ...checkAccounts(ledger),
    await checkStock(apps, ledger),
    checkBank(ledger, bank),
    checkHearing(ledger, apps.map(listenerOf)),
    await checkReadModels(apps),
    await checkDeadLetters(apps),
  ]
}

async function checkLogs(apps: readonly Audited[], { events }: Ledger): Promise<Entry> {
  const heads = await Promise.all(apps.map(async ({ store }) => (await store.log()).head))
  const head = sum(heads)
  const [claim, figures] =
    apps.length === 1
      ? ['the log is complete', `${count(events)} events, the last at position ${count(head)}`]
      : ['the logs are complete', `${count(events)} events in ${apps.length} stores`]
  return { claim, figures, wrong: events === head ? [] : [`${head - events} events are missing`] }
}

function checkBank({ accounts }: Ledger, bank: Bank): Entry {
  const wrong: string[] = []
  let repeats = 0
  for (const [orderId, { charged, refunded }] of accounts) {
    const statement = bank.statement(orderId)
    repeats += statement.repeats
    if (statement.charged !== charged || statement.refunded !== refunded)
      wrong.push(`order ${orderId}: the bank has ${money(statement.charged)} charged and ${money(statement.refunded)} refunded`)
  }
  return { claim: "the bank's ledger says the same", figures: `it recognised ${count(repeats)} repeated requests by their key`, wrong }
}

/** Whatever a read model is about must have come to the log that it is made of. */
export function checkHearing(ledger: Ledger, listeners: readonly Listener[]): Entry {
  const wrong: string[] = []
  let events = 0
  for (const { service, projections } of listeners)
    for (const type of new Set(projections.flatMap((projection) => Object.keys(projection.events)))) {
      const [told, heard] = [ledger.told.get(type) ?? 0, ledger.heard(service, type)]
      events += heard
      if (told !== heard) wrong.push(`${service} has heard ${heard} of ${told} ${type}`)
    }
  return { claim: 'whoever listens has heard everything once', figures: `${count(events)} events for read models`, wrong }
}

async function checkReadModels(apps: readonly Audited[]): Promise<Entry> {
  const wrong: string[] = []
  let documents = 0
  let models = 0
  for (const app of apps)
    for (const projection of projectionsOf(app)) {
      const verification = await app.verify(projection)
      models++
      documents += verification.documents
      wrong.push(...verification.differences.map(({ key }) => `${projection.name}: the document ${key} is not what the log makes of it`))
    }
  return {
    claim: 'the read models are what the log makes of them',
    figures: `${count(documents)} documents in ${models} read models`,
    wrong,
  }
}

async function checkDeadLetters(apps: readonly Audited[]): Promise<Entry> {
  const wrong: string[] = []
  for (const app of apps)
    for (const { processor, type, error } of (await app.deadLetters.list({}, { limit: 1_000 })).documents)
      wrong.push(`${processor}: ${type} waits (${error?.message ?? 'behind another one'})`)
  return { claim: 'nothing waits for an operator', figures: `${count(wrong.length)} dead letters`, wrong }
}

function listenerOf(app: Audited): Listener {
  return { service: app.status().service, projections: projectionsOf(app) }
}

function projectionsOf(app: Audited): typeof readModels {
  const running = app.status().processors.map(({ processor }) => processor)
  return readModels.filter(({ name }) => running.some((processor) => processor.startsWith(`projection:${name}@`)))
}
