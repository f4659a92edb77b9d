import type { App } from 'headwater'
import { start } from 'headwater'
import { noteIn } from '../demo/notes.ts'
import { sentenceOf } from '../demo/program.ts'
import { openStorage } from '../demo/storage.ts'
import { Bank } from '../payments/bank.ts'
import { deliver } from '../suppliers/deliver.ts'
import { Front } from './front.ts'
import { withOwnTopics } from './own-topics.ts'
import { servicesWith } from './services.ts'
import { openTransport } from './transports.ts'
import type { Answer, Assignment, Report, Word } from './words.ts'

const reportEveryMs = 250

/** One service of the shop in a process of its own: does what the supervisor says, and says how it is. Ends when the supervisor does, however that ends. */
async function run({ service: name, storage, broker, shop, bankPath }: Assignment, words: AsyncIterable<Word>): Promise<void> {
  const warnings: string[] = []
  // One answer of a hundred gets lost, so that it can be seen what becomes of that.
  using bank = new Bank({ path: bankPath, lostAnswers: 0.01 })
  const services = servicesWith(bank)
  const options = {
    storage: await openStorage(storage),
    transport: withOwnTopics(await openTransport(broker), shop),
    log: noteIn(warnings),
    leaseMs: 2_000,
  }
  const { handlers } = services[name].parts
  const breakers = [...new Set(handlers.flatMap(({ lanes }) => lanes.breaker ?? []))]
  // Only orders has customers.
  const orders = name === 'orders' ? await start(services.orders, options) : undefined
  await using app: Pick<App<never, never>, 'store' | 'status' | 'deadLetters' | typeof Symbol.asyncDispose> = orders ??
  (await start<string, string>(services[name], options))
  const orderGoods = async (lines: Parameters<typeof deliver>[1]): Promise<void> => tell({ say: 'order-goods', lines })
  await using front = orders && new Front(orders, { deliver: orderGoods, fail: giveUp })

  const report = async (): Promise<Report> => ({
    head: app.status().head,
    processors: app.status().processors,
    breakers: breakers.map(({ name: breaker, state }) => ({ name: breaker, state })),
    deadLetters: (await app.deadLetters.list({ state: ['parked', 'dead'] }, { limit: 1_000 })).documents.length,
    ...(warnings.length > 0 && { warning: warnings.at(-1)! }),
    ...(front && { front: front.report() }),
  })
  tell({ say: 'ready' })
  const reporting = setInterval(() => void report().then((said) => tell({ say: 'report', report: said }), giveUp), reportEveryMs)
  for await (const word of words) {
    if (word.say === 'stop') break
    if (word.say === 'open') await front?.open(word.load)
    else if (word.say === 'close') front?.closeDoors()
    else if (word.say === 'deliver') await deliver(app.store, word.lines)
  }
  clearInterval(reporting)
}

function tell(answer: Answer): void {
  // Where nobody listens any more, this process is about to end.
  process.send?.(answer, undefined, {}, () => undefined)
}

function giveUp(error: unknown): void {
  process.exitCode = 1
  tell({ say: 'failed', sentence: sentenceOf(error) })
}

/** What the supervisor says, in its order; `stop` when it is gone. */
async function* hear(): AsyncGenerator<Word, undefined> {
  const heard: Word[] = []
  let wake = (): void => undefined
  const hearing = (word: Word): void => {
    heard.push(word)
    wake()
  }
  process.on('message', hearing)
  for (const event of ['disconnect', 'SIGTERM'] as const) process.once(event, () => hearing({ say: 'stop' }))
  for (;;) {
    const word = heard.shift()
    if (word) yield word
    else await new Promise<void>((resolve) => (wake = resolve))
  }
}

// Ctrl-C reaches all processes of a terminal; the supervisor says what is to be done about it.
process.on('SIGINT', () => undefined)
const words = hear()
const first = await words.next()
if (first.value?.say === 'begin') await run(first.value.assignment, words).catch(giveUp)
process.exit()
