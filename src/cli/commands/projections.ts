import type { Command } from 'commander'
import { processorOf } from '../../projection/generation.ts'
import type { ServiceParts } from '../../service/service.ts'
import type { EventStore } from '../../storage/event-store.ts'
import type { ProcessorInfo } from '../../storage/port.ts'
import { loadApp } from '../app-module.ts'
import { run } from '../command.ts'
import { followsLog, isPresence } from '../processors.ts'
import { withStore } from '../open-store.ts'
import type { Column } from '../output.ts'
import { onePage } from '../pages.ts'

/** A build of a read model, an SQL projection, a handler or a relay: in the store, or declared by the service and not begun. */
interface Row {
  /** Of a handler that gets its messages from a topic, with that and the partition, if it has one: `charge@orders/3`; of one in shards, with the shard: `charge#1/4`. */
  readonly name: string
  readonly kind: 'documents' | 'sql' | 'handler' | 'relay'
  /** Of documents the version and the number of its build, as `2.1`; of SQL the version; handlers have none. */
  readonly generation: string | null
  readonly state: 'building' | 'live' | 'retired' | 'begun' | 'not begun'
  readonly documents: number | null
  readonly position: number
  /** Events between it and the end of the log; null where its messages come from a topic. */
  readonly lagEvents: number | null
  /** Who holds its lease: a process id and something unique. */
  readonly owner: string | null
  readonly failure: string | null
}

const columns: readonly Column<Row>[] = [
  { title: 'name', value: ({ name }) => name },
  { title: 'kind', value: ({ kind }) => kind },
  { title: 'generation', value: ({ generation }) => generation ?? '' },
  { title: 'state', value: ({ state }) => state },
  { title: 'documents', value: ({ documents }) => documents ?? '' },
  { title: 'position', value: ({ position }) => position },
  { title: 'behind', value: ({ lagEvents }) => lagEvents ?? '' },
  { title: 'run by', value: ({ owner }) => (owner === null ? 'nobody' : `pid ${owner.split('-')[0]}`) },
  { title: 'failure', value: ({ failure }) => failure ?? '' },
]

export function addProjections(program: Command): void {
  program
    .command('projections')
    .summary('list read models, handlers and relays, and how far they are')
    .description(
      'Lists the read models, handlers and relays in the store: how many events each is behind the end of the log, who runs it, and why it stands still. Those ' +
        'that the service declares (see --app) and nobody has begun are listed too.',
    )
    .action(
      run(async ({ options, output }) => {
        await withStore(options, { migrate: false }, async (store) => {
          const declared = (await loadApp(options))?.service?.parts
          const progress = await progressOf(store)
          const stored = [...(await documentRows(store, progress)), ...processorRows(progress)]
          const rows = [...stored, ...(declared ? missingRows(declared, stored, progress) : [])].toSorted(inOrder)
          if (rows.length > 0 || output.json) await output.table(columns, onePage(rows), (row) => row)
          else await output.say('there are no read models and handlers in this store', undefined)
        })
      }),
    )
}

async function documentRows({ driver: { documents } }: EventStore, progress: Progress): Promise<readonly Row[]> {
  // A verification's shadow, and what Headwater keeps for itself, are none of the service's read models.
  const collections = (await documents.list()).filter(({ projection }) => !projection.includes(':'))
  return Promise.all(
    collections.map(async ({ id, projection, state }) => ({
      name: projection,
      kind: 'documents',
      generation: id.slice(id.lastIndexOf('@') + 1),
      state,
      documents: await documents.count(id),
      ...progress.of(processorOf(id)),
    })),
  )
}

function processorRows(progress: Progress): readonly Row[] {
  return progress.processors.flatMap((processor): readonly Row[] => {
    const [, kind, name = ''] = /^(sql-projection|handler|relay):(.+)$/.exec(processor) ?? []
    const begun = { state: 'begun', documents: null, ...progress.of(processor) } as const
    if (isPresence(processor)) return []
    if (kind === 'handler' || kind === 'relay') return [{ name, kind, generation: null, ...begun }]
    if (kind === undefined) return []
    const [, sqlName = name, generation = null] = /^(.+)@(\d+)$/.exec(name) ?? []
    return [{ name: sqlName, kind: 'sql', generation, ...begun }]
  })
}

function missingRows({ projections, sqlProjections, handlers }: ServiceParts, stored: readonly Row[], progress: Progress): readonly Row[] {
  const row = (kind: Row['kind'], name: string, version: number | null): Row => ({
    name,
    kind,
    generation: version === null ? null : String(version),
    state: 'not begun',
    documents: null,
    ...progress.of(''),
  })
  const isStored = ({ name, kind, generation }: Row): boolean =>
    stored.some(
      (other) =>
        other.kind === kind &&
        (other.name === name || (kind === 'handler' && /^[@#]/.test(other.name.slice(name.length)) && other.name.startsWith(name))) &&
        (other.generation?.split('.')[0] ?? null) === generation,
    )
  return [
    ...projections.map(({ name, version }) => row('documents', name, version)),
    ...sqlProjections.map(({ name, version }) => row('sql', name, version)),
    ...handlers.map(({ name }) => row('handler', name, null)),
  ].filter((missing) => !isStored(missing))
}

interface Progress {
  readonly processors: readonly string[]
  /** Also for one that does not exist, which is at the beginning. */
  of(processor: string): Pick<Row, 'position' | 'lagEvents' | 'owner' | 'failure'>
}

async function progressOf(store: EventStore): Promise<Progress> {
  const processors = new Map<string, ProcessorInfo>()
  for (const info of await store.driver.processors.list()) processors.set(info.processor, info)
  // In this order, or a processor could seem to be beyond the end of the log.
  const { head } = await store.log()
  return {
    processors: [...processors.keys()],
    of(processor) {
      const { position = 0, owner = null, failure = null } = processors.get(processor) ?? {}
      return { position, lagEvents: followsLog(processor) ? head - position : null, owner, failure }
    },
  }
}

/** By name; of a read model, the newest generation first. */
function inOrder(a: Row, b: Row): number {
  return a.name.localeCompare(b.name, 'en') || (b.generation ?? '').localeCompare(a.generation ?? '', 'en', { numeric: true })
}
