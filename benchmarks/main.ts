import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { aggregateLoad } from './aggregate-load.ts'
import { append } from './append.ts'
import { appendProcesses } from './append-processes.ts'
import { brokerNames } from './brokers/given.ts'
import { catchUp } from './catch-up.ts'
import { conditions } from './conditions.ts'
import { growth } from './growth.ts'
import type { Benchmark } from './harness/benchmark.ts'
import type { Section } from './harness/figures.ts'
import { median } from './harness/figures.ts'
import { Lab } from './harness/lab.ts'
import { describeMachine } from './harness/machine.ts'
import type { StoreName } from './harness/place.ts'
import { formatSection, markdownOf, missedBars } from './harness/report.ts'
import { heldSnapshot } from './held-snapshot.ts'
import { lanes } from './lanes.ts'
import { latency } from './latency.ts'
import { memory } from './memory.ts'
import { pipeline } from './pipeline.ts'
import { poison } from './poison.ts'
import { rebuild } from './rebuild.ts'
import { relay } from './relay.ts'
import { shards } from './shards.ts'
import { transports } from './transports.ts'

const benchmarks: readonly Benchmark[] = [
  append,
  appendProcesses,
  conditions,
  heldSnapshot,
  latency,
  aggregateLoad,
  catchUp,
  memory,
  rebuild,
  growth,
  lanes,
  shards,
  poison,
  relay,
  transports,
  pipeline,
]

const usage = `npm run bench [-- NAME …] [--quick] [--large] [--store sqlite|postgres] [--broker NAME …] [--json FILE] [--markdown FILE]

  --quick     fewer and shorter rounds, and no log of ten million events
  --large     growth with fifty million events too
  --store     one store only (default: both; PostgreSQL is that of DATABASE_URL, else one started for the run)
  --broker    some brokers only, of ${brokerNames.join(', ')} (default: the log, and those that the environment names)

${benchmarks.map(({ name, about }) => `  ${name.padEnd(20)} ${about}`).join('\n')}
`

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    quick: { type: 'boolean', default: false },
    large: { type: 'boolean', default: false },
    store: { type: 'string' },
    broker: { type: 'string', multiple: true },
    json: { type: 'string' },
    markdown: { type: 'string' },
    help: { type: 'boolean', default: false },
  },
})
const unknown = positionals.filter((name) => !benchmarks.some((benchmark) => benchmark.name === name))
const unknownBrokers = (values.broker ?? []).filter((name) => !brokerNames.includes(name))
if (
  values.help ||
  unknown.length > 0 ||
  unknownBrokers.length > 0 ||
  (values.store !== undefined && values.store !== 'sqlite' && values.store !== 'postgres')
) {
  if (unknown.length > 0) process.stderr.write(`there is no benchmark ${unknown.join(', ')}\n\n`)
  process.stdout.write(usage)
  process.exit(values.help ? 0 : 2)
}

const stores: readonly StoreName[] = values.store === 'sqlite' || values.store === 'postgres' ? [values.store] : ['postgres', 'sqlite']
const lab = new Lab({ quick: values.quick, large: values.large, stores, brokers: values.broker })
process.once('SIGINT', () => void lab.close().then(() => process.exit(130)))
try {
  const machine = await describeMachine(lab)
  process.stdout.write(`${machine.join('\n')}\n\n`)
  const results: Record<string, readonly Section[]> = {}
  for (const { name, run } of benchmarks) {
    if (positionals.length > 0 && !positionals.includes(name)) continue
    const sections: Section[] = []
    for await (const section of run(lab)) {
      process.stdout.write(`${formatSection(section)}\n`)
      sections.push(section)
    }
    results[name] = sections
    writeJson(join(import.meta.dirname, 'results', `${name}.json`), { [name]: sections }, machine)
  }
  if (values.json !== undefined) writeJson(values.json, results, machine)
  const all = Object.values(results).flat()
  if (values.markdown !== undefined) writeFileSync(values.markdown, all.map(markdownOf).join('\n'))
  const missed = missedBars(all)
  for (const { section, figure } of missed)
    process.stdout.write(
      `missed: ${section.title} · ${section.store}: ${figure.name} ${median(figure.samples).toFixed(2)} ${figure.unit}\n`,
    )
  process.stdout.write(missed.length === 0 ? 'every bar that was measured is met\n' : '')
} finally {
  await lab.close()
}

function writeJson(file: string, results: Readonly<Record<string, readonly Section[]>>, machine: readonly string[]): void {
  mkdirSync(join(file, '..'), { recursive: true })
  const run = { at: new Date().toISOString(), machine, quick: values.quick, results }
  writeFileSync(file, `${JSON.stringify(run, undefined, 2)}\n`)
}
