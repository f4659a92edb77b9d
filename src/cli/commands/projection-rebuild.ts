import type { Command } from 'commander'
import { processorOf } from '../../projection/generation.ts'
import type { AnyProjection } from '../../projection/projection.ts'
import type { RebuildProgress } from '../../projection/rebuild.ts'
import type { SqlProjection } from '../../projection/sql-projection.ts'
import { sqlProcessorOf } from '../../projection/sql-projection.ts'
import type { EventStore } from '../../storage/event-store.ts'
import type { ProcessorInfo } from '../../storage/port.ts'
import { run } from '../command.ts'
import { exitCodes, FailedError } from '../exit-codes.ts'
import { interruptible } from '../interruption.ts'
import { findProjection, withProjection } from '../one-projection.ts'
import { countOf, formatCount, formatDuration } from '../output.ts'
import { ProgressLine } from '../progress-line.ts'

export function addRebuild(program: Command): void {
  program
    .command('rebuild <NAME>')
    .summary('build a read model anew beside the one that is read')
    .description(
      'Builds the documents anew beside those that are read, which are replaced when the new ones are complete. The service may run meanwhile. A ' +
        'rebuild that broke off goes on where it was when it is run again. The tables of an SQL projection are emptied and filled in place.',
    )
    .action(
      run<unknown, readonly [string]>(async ({ options, output }, name) => {
        const found = await findProjection(options, name)
        const startedMs = performance.now()
        const line = new ProgressLine()
        const onProgress = (progress: RebuildProgress): void => {
          if (progress.head > 0) line.show(() => describeProgress(progress))
        }
        const { result, exitCode } = await interruptible((signal) =>
          withProjection(options, found, async (app) => {
            await unlessItFails(app.store, found.projection, signal, (until) =>
              found.projection.kind === 'projection'
                ? app.rebuild(name, { onProgress, progressEveryMs: 200, signal: until })
                : refill(app.store, sqlProcessorOf(found.projection), { onProgress, signal: until }),
            )
            return (await app.store.log()).head
          }).finally(() => line.clear()),
        )
        if (result === undefined) {
          process.stderr.write('interrupted: run it again to go on\n')
          return exitCode
        }
        const ms = performance.now() - startedMs
        const rate = formatCount(Math.round((result / ms) * 1_000))
        await output.say(`${name} is rebuilt from ${countOf(result, 'event')} in ${formatDuration(ms)} (${rate} events/s)`, {
          projection: name,
          position: result,
        })
        return exitCodes.ok
      }),
    )
}

/** Back to the beginning of the log: whoever runs the projection tears its tables down and fills them again. */
async function refill(
  store: EventStore,
  processor: string,
  { onProgress, signal }: { readonly onProgress: (progress: RebuildProgress) => void; readonly signal: AbortSignal },
): Promise<void> {
  const { clock } = store.environment
  const { head } = await store.log()
  const startedMs = clock.now()
  await store.driver.processors.reset({ processor, position: 0 })
  for (;;) {
    signal.throwIfAborted()
    const position = (await infosOf(store, [processor]))[0]?.position ?? 0
    if (position >= head) return
    const eventsPerSecond = Math.round((position / Math.max(1, clock.now() - startedMs)) * 1_000)
    const etaMs = eventsPerSecond > 0 ? ((head - position) / eventsPerSecond) * 1_000 : undefined
    onProgress({ position, head, eventsPerSecond, etaMs })
    await clock.sleep(200, signal)
  }
}

const failingForMs = 5_000

/** A projection that fails tries again for ever, which is right for a service; a command must come to an end and say why. */
async function unlessItFails(
  store: EventStore,
  projection: AnyProjection | SqlProjection,
  signal: AbortSignal,
  work: (until: AbortSignal) => Promise<void>,
): Promise<void> {
  const done = new AbortController()
  const until = AbortSignal.any([signal, done.signal])
  try {
    await Promise.race([work(until), untilItFails(store, projection, until)])
  } finally {
    done.abort()
  }
}

async function untilItFails(store: EventStore, projection: AnyProjection | SqlProjection, signal: AbortSignal): Promise<never> {
  const { clock } = store.environment
  let sinceMs: number | undefined
  for (;;) {
    const failing = (await infosOf(store, await processorsOf(store, projection))).find(({ failure }) => failure !== undefined)
    sinceMs = failing ? (sinceMs ?? clock.now()) : undefined
    if (failing && sinceMs !== undefined && clock.now() - sinceMs >= failingForMs)
      throw new FailedError(`${failing.processor} stands still: ${failing.failure}`)
    await clock.sleep(500, signal)
    signal.throwIfAborted()
  }
}

/** Those that are filling the read model anew. */
async function processorsOf({ driver }: EventStore, projection: AnyProjection | SqlProjection): Promise<readonly string[]> {
  if (projection.kind === 'sql-projection') return [sqlProcessorOf(projection)]
  const collections = await driver.documents.list(projection.name)
  return collections.filter(({ state }) => state === 'building').map(({ id }) => processorOf(id))
}

async function infosOf({ driver }: EventStore, processors: readonly string[]): Promise<readonly ProcessorInfo[]> {
  return (await driver.processors.list()).filter(({ processor }) => processors.includes(processor))
}

function describeProgress({ position, head, eventsPerSecond, etaMs }: RebuildProgress): string {
  const percent = Math.floor((100 * position) / head)
  const eta = etaMs === undefined ? '' : `  ${formatDuration(etaMs)} left`
  return `${percent} %  ${formatCount(position)} of ${countOf(head, 'event')}  ${formatCount(eventsPerSecond)} events/s${eta}`
}
