import type { Command } from 'commander'
import type { PartitionLag, TransportConnection } from '../../transport/port.ts'
import { loadApp, requireService } from '../app-module.ts'
import { run } from '../command.ts'
import { topicsOf } from '../consumed-topics.ts'
import { exitCodes, UsageError } from '../exit-codes.ts'
import { messageOf } from '../open-store.ts'
import { withTransport } from '../open-transport.ts'
import type { Column } from '../output.ts'
import { onePage } from '../pages.ts'

interface Options {
  readonly handler?: string
  readonly topic?: string
  readonly group?: string
}

/** A partition of a topic, or a topic without any, as one group sees it. */
interface Row {
  /** Null for a group that is none of this service. */
  readonly handler: string | null
  readonly topic: string
  readonly group: string
  readonly partition: number | null
  /** Null where it could not be found out. */
  readonly messages: number | null
  readonly problem: string | null
}

const columns: readonly Column<Row>[] = [
  { title: 'topic', value: ({ topic }) => topic },
  { title: 'group', value: ({ group }) => group },
  { title: 'partition', value: ({ partition }) => partition ?? '' },
  { title: 'behind', value: ({ messages }) => messages ?? '' },
  { title: 'problem', value: ({ problem }) => problem ?? '' },
]

export function addLag(program: Command): void {
  program
    .command('lag')
    .summary('list how much the broker still has for the handlers')
    .description(
      'Asks the broker how many messages of each topic wait for each handler of the service, retry topics included, or with --group for any other group: that of a transform, or of ' +
        'another program. Needs the module of --app with `transport` and, without --group, `service`. Exits with 1 when the broker cannot tell of one.',
    )
    .option('--handler <NAME>', 'only of this handler')
    .option('--topic <NAME>', 'only of this topic')
    .option('--group <NAME>', 'of this group of the topic instead, whose ever it is')
    .action(
      run<Options>(async ({ options, output }) => {
        const { app, groups } = await groupsOf(options)
        const rows = await withTransport(app, options, async (connection) =>
          (await Promise.all(groups.map((group) => lagOf(connection, group)))).flat(),
        )
        await output.table(columns, onePage(rows), (row) => row)
        return rows.some(({ problem }) => problem !== null) ? exitCodes.failed : exitCodes.ok
      }),
    )
}

type Group = Pick<Row, 'handler' | 'topic' | 'group'>

async function groupsOf(options: Options & Parameters<typeof loadApp>[0]) {
  const { group, handler, topic } = options
  if (group === undefined) {
    const app = await requireService(options)
    return { app, groups: topicsOf(app.service, options).map((consumed): Group => consumed) }
  }
  if (topic === undefined || handler !== undefined) throw new UsageError('--group needs the --topic that it consumes, and no --handler')
  const app = await loadApp(options)
  if (!app) throw new UsageError('which broker? Say --app MODULE, a module that exports `transport`')
  return { app, groups: [{ handler: null, topic, group }] }
}

async function lagOf(connection: TransportConnection, { handler, topic, group }: Group): Promise<readonly Row[]> {
  const row = ({ partition, messages }: Partial<PartitionLag>, problem: string | null = null): Row => ({
    handler,
    topic,
    group,
    partition: partition ?? null,
    messages: messages ?? null,
    problem,
  })
  try {
    return (await connection.lag(topic, group)).map((lag) => row(lag))
  } catch (error) {
    return [row({}, messageOf(error))]
  }
}
