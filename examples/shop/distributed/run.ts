import { count, duration } from '../demo/format.ts'
import { Screen } from '../demo/screen.ts'
import { withoutPassword } from '../demo/storage.ts'
import type { Bank } from '../payments/bank.ts'
import { Auditor } from './auditor.ts'
import { Day } from './black-friday.ts'
import { drawBoard } from './board.ts'
import { Crew } from './crew.ts'
import type { Options } from './options.ts'
import { tableOf } from './phase-table.ts'
import type { ServiceName } from './services.ts'
import { serviceNames, servicesWith } from './services.ts'
import { bankPathOf, openStores, storageOf } from './stores.ts'
import type { Load, Report } from './words.ts'

/** Runs the shop until it has done what it should and every order has come to its end; to false when Ctrl-C came before, since orders may be open. */
export async function runShop(options: Options, bank: Bank, interrupted: AbortSignal): Promise<boolean> {
  const { blackFriday, broker, orders, port, rate } = options
  const failed = new AbortController()
  const fail = (error: unknown): void => failed.abort(error)
  const signal = AbortSignal.any([interrupted, failed.signal])

  await using open = new AsyncDisposableStack()
  const stores = (await openStores(options)).map((store) => open.use(store))
  const listeners = Object.values(servicesWith(bank)).map(({ name, parts }) => ({ service: name, projections: parts.projections }))
  const auditor = new Auditor(stores, listeners)
  const before = await auditor.tally()
  const placed = (): number => auditor.latest.placed - before.placed
  // Made with the log of orders: who begins with an empty one must not hear of the orders of whoever used the broker before.
  const shop = `shop-${(await stores[0]!.log()).id.slice(-12)}`
  const reports = new Map<ServiceName, Report>()
  const day = new Day(bank, auditor)
  let load: Load | undefined
  const crew = open.use(
    new Crew({
      assignmentOf: (service) => ({ service, storage: storageOf(service, options), broker, shop, bankPath: bankPathOf(options) }),
      load: () => (load && 'orders' in load ? { orders: load.orders - placed() } : load),
      onReport: (service, report) => {
        reports.set(service, report)
        day.hear(service, report)
      },
      fail,
    }),
  )
  bank.become({ latencyMs: blackFriday?.bankMs ?? (orders === undefined ? 100 : 0), isDown: false })
  await crew.start()

  const serveCustomers = async (): Promise<void> => {
    load = orders === undefined ? { rate, port } : { orders }
    crew.tell('orders', { say: 'open', load })
    if (blackFriday) {
      await day.run(blackFriday, signal)
      load = { orders: 0 }
      crew.tell('orders', { say: 'close' })
    } else if (orders === undefined) await aborted(signal)
    const areGone = (): boolean => reports.get('orders')?.front?.customers === 'gone'
    await auditor.settle(() => placed() >= (orders ?? 0) && areGone(), signal)
  }
  const shown = shownOf(options)
  const screen = new Screen(drawBoard({ crew, auditor, reports, phase: () => day.phase }, shown), shown, fail)
  screen.start()
  const startedMs = performance.now()
  await serveCustomers().catch(fail)
  await screen.stop()
  if (failed.signal.aborted) throw failed.signal.reason

  process.stdout.write(
    interrupted.aborted
      ? `\nClosed. ${count(placed())} orders in this run; the next one goes on with those that are open.\n`
      : `\n${count(placed())} orders in ${duration(performance.now() - startedMs)}, from placing to the last parcel.\n\n`,
  )
  if (blackFriday) process.stdout.write(`${tableOf(day.phases).join('\n')}\n\n`)
  return !interrupted.aborted
}

function shownOf({ broker, directory, orders, postgres }: Options): { readonly title: string; readonly footer: readonly string[] } {
  const where = postgres === undefined ? `SQLite files in ${directory}` : withoutPassword(postgres)
  return {
    title: `headwater shop: ${serviceNames.length} processes over ${broker.kind}, on ${where}`,
    footer: orders === undefined ? ['Ctrl-C ends it.'] : [],
  }
}

function aborted(signal: AbortSignal): Promise<void> {
  if (signal.aborted) return Promise.resolve()
  return new Promise((resolve) => signal.addEventListener('abort', () => resolve(), { once: true }))
}
