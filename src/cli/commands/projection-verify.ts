import type { Command } from 'commander'
import { fits, generationsOf } from '../../projection/generation.ts'
import type { AnyProjection } from '../../projection/projection.ts'
import type { Difference } from '../../projection/verify.ts'
import type { EventStore } from '../../storage/event-store.ts'
import { run } from '../command.ts'
import { exitCodes, NotFoundError, UsageError } from '../exit-codes.ts'
import { interruptible } from '../interruption.ts'
import { findProjection, withProjection } from '../one-projection.ts'
import { withStore } from '../open-store.ts'
import type { Column } from '../output.ts'
import { countOf, formatCount, formatDuration } from '../output.ts'
import { onePage } from '../pages.ts'
import { ProgressLine } from '../progress-line.ts'

const columns: readonly Column<Difference>[] = [
  { title: 'document', value: ({ key }) => key },
  { title: 'is', value: ({ stored }) => JSON.stringify(stored) ?? 'missing' },
  { title: 'should be', value: ({ expected }) => JSON.stringify(expected) ?? 'not there' },
]

export function addVerify(program: Command): void {
  program
    .command('verify <NAME>')
    .summary('compare a read model with what the log makes of it')
    .description(
      'Replays the log beside the read model and lists every document that is not what the log makes of it. Changes nothing that is read; the service ' +
        'may run meanwhile. Exits with 1 when a document differs.',
    )
    .action(
      run<unknown, readonly [string]>(async ({ options, output }, name) => {
        const found = await findProjection(options, name)
        const { projection } = found
        if (projection.kind !== 'projection') throw new UsageError(`${name} keeps tables of its own, which cannot be compared`)
        await withStore(options, { migrate: false }, (store) => assertBuilt(store, projection))
        const startedMs = performance.now()
        const line = new ProgressLine()
        const onProgress = ({ position, head }: { readonly position: number; readonly head: number }): void =>
          line.show(() => `${Math.floor((100 * position) / head)} %  ${formatCount(position)} of ${countOf(head, 'event')} replayed`)
        const { result, exitCode } = await interruptible((signal) =>
          withProjection(options, found, (app) => app.verify(name, { onProgress, signal })).finally(() => line.clear()),
        )
        if (result === undefined) return exitCode
        const { differences, documents, position } = result
        if (differences.length > 0 && !output.json) await output.table(columns, onePage(differences), (row) => row)
        const verdict = differences.length === 0 ? 'all are what the log makes of them' : `${formatCount(differences.length)} differ`
        const took = formatDuration(performance.now() - startedMs)
        await output.say(
          `${name}: ${countOf(documents, 'document')} compared at position ${formatCount(position)} in ${took}; ${verdict}`,
          {
            projection: name,
            position,
            documents,
            differences,
          },
        )
        return differences.length > 0 ? exitCodes.failed : exitCodes.ok
      }),
    )
}

/** Running a projection that is not built would begin to build it, which is not what was asked for. */
async function assertBuilt({ driver }: EventStore, projection: AnyProjection): Promise<void> {
  const { name, version } = projection
  const generations = generationsOf(projection, await driver.documents.list(name))
  if (generations.some((built) => built.state !== 'building' && built.version === version && fits(projection, built))) return
  throw new NotFoundError(`the read model ${name} is not built as version ${version}: run  headwater projection rebuild ${name}`)
}
