import { productSales } from '../analytics/sales.ts'
import { customerOrders, orderSummary } from '../orders/read-models.ts'
import { orderCounts, readyToShip } from '../orders/work-lists.ts'
import type { Bank } from '../payments/bank.ts'
import type { Shop } from '../shop.ts'
import { count, money } from './format.ts'
import type { Account } from './ledger.ts'
import { Ledger, sum } from './ledger.ts'
import { checkStock } from './stock-books.ts'

export interface Entry {
  readonly claim: string
  /** The figures behind the claim. */
  readonly figures: string
  /** What is not as claimed. */
  readonly wrong: readonly string[]
}

/** Adds up the whole log, and compares with it what the aggregates, the read models and the bank have. */
export async function checkBooks(app: Shop, bank: Bank): Promise<readonly Entry[]> {
  const ledger = await Ledger.of(app.store)
  const { head } = await app.store.log()
  const log = { claim: 'the log is complete', figures: `${count(ledger.events)} events, the last at position ${count(head)}` }
  return [
    { ...log, wrong: ledger.events === head ? [] : [`${head - ledger.events} events are missing`] },
    checkOrders(ledger),
    await checkStock(app, ledger),
    checkMoney(ledger),
    checkBank(ledger, bank),
    checkMessages(ledger),
    await checkReadModels(app),
  ]
}

function checkOrders({ accounts }: Ledger): Entry {
  const [shipped, cancelled] = [accountsOf(accounts, 'shipped'), accountsOf(accounts, 'cancelled')]
  const open = [...accounts].filter(([, { outcome }]) => outcome === 'open')
  return {
    claim: 'every order is shipped or cancelled',
    figures: `${count(accounts.size)} placed = ${count(shipped.length)} shipped + ${count(cancelled.length)} cancelled`,
    wrong: open.map(([orderId]) => `order ${orderId} is still open`),
  }
}

function checkMoney({ accounts }: Ledger): Entry {
  const all = [...accounts.values()]
  const [charged, refunded] = [sum(all.map((account) => account.charged)), sum(all.map((account) => account.refunded))]
  const due = ({ outcome, total }: Account): number => (outcome === 'shipped' ? total : 0)
  return {
    claim: 'everybody has paid once for what they got',
    figures: `${money(charged)} charged − ${money(refunded)} refunded = ${money(sum(all.map(due)))} shipped`,
    wrong: [...accounts].flatMap(([orderId, account]) => [
      ...(account.charges > 1 ? [`order ${orderId} was charged ${account.charges} times`] : []),
      ...(account.charged - account.refunded === due(account)
        ? []
        : [`order ${orderId} is ${account.outcome} and has paid ${money(account.charged - account.refunded)} of ${money(due(account))}`]),
    ]),
  }
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

function checkMessages({ accounts }: Ledger): Entry {
  const wrong = [...accounts].flatMap(([orderId, { messages }]) => (messages === 2 ? [] : [`${messages} about order ${orderId}`]))
  const sent = sum([...accounts.values()].map(({ messages }) => messages))
  return { claim: 'each customer was told twice about an order', figures: `${count(sent)} messages`, wrong }
}

async function checkReadModels(app: Shop): Promise<Entry> {
  const running = app.status().processors.map(({ processor }) => processor)
  const projections = [orderSummary, customerOrders, readyToShip, orderCounts, productSales].filter(({ name }) =>
    running.some((processor) => processor.startsWith(`projection:${name}@`)),
  )
  const wrong: string[] = []
  let documents = 0
  for (const projection of projections) {
    const verification = await app.verify(projection)
    documents += verification.documents
    wrong.push(...verification.differences.map(({ key }) => `${projection.name}: the document ${key} is not what the log makes of it`))
  }
  return {
    claim: 'the read models are what the log makes of them',
    figures: `${count(documents)} documents in ${projections.length} read models`,
    wrong,
  }
}

function accountsOf(accounts: ReadonlyMap<string, Account>, outcome: Account['outcome']): readonly Account[] {
  return [...accounts.values()].filter((account) => account.outcome === outcome)
}
