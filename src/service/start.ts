import { ActionWatcher } from '../processing/action-watcher.ts'
import { DeadLetters } from '../processing/dead-letters.ts'
import { HandlerCaller } from '../processing/handler-call.ts'
import { LaneRunner } from '../processing/lane-runner.ts'
import { LogMessages } from '../processing/log-messages.ts'
import { PageRunner } from '../processing/page-runner.ts'
import { LeaseKeeper } from '../processing/lease-keeper.ts'
import { LogTail } from '../processing/log-tail.ts'
import type { ProcessingContext, Tenure } from '../processing/processor.ts'
import { Processor } from '../processing/processor.ts'
import type { InlineTarget } from '../projection/inline.ts'
import { inlineWrites } from '../projection/inline.ts'
import { ReadModel } from '../projection/read-model.ts'
import { sqlProcessorOf, sqlWorker } from '../projection/sql-projection.ts'
import type { EventStoreOptions } from '../storage/event-store.ts'
import { EventStore } from '../storage/event-store.ts'
import type { Storage } from '../storage/port.ts'
import { RunningApp } from './app.ts'
import type { App } from './app.ts'
import { CommandBus } from './command-bus.ts'
import type { Service } from './service.ts'

export interface StartOptions extends Omit<EventStoreOptions, 'source'> {
  readonly storage: Storage
  /**
   * What this process runs beside answering commands and queries. Any number of processes of a service may run the same: each processor is run by one of
   * them, and another takes over when that one ends. Default: both.
   */
  readonly run?: readonly ('handlers' | 'projections')[]
  /** How long after a crash another process takes over. Default: 5,000. */
  readonly leaseMs?: number
  /** How often to look for events of other processes, should their signal be lost. Default: 1,000. */
  readonly pollMs?: number
}

/**
 * Opens the store and runs the service. Resolves when commands and queries are answered; read models may still be catching up.
 * @throws UnsupportedStoreError, MissingPackageError, StorageError
 */
export async function start<Handled extends string, Answered extends string>(
  service: Service<string, Handled, Answered>,
  options: StartOptions,
): Promise<App<Handled, Answered>> {
  const { storage, run = ['handlers', 'projections'], leaseMs = 5_000, pollMs = 1_000 } = options
  const store = await EventStore.open(storage, { ...options, source: service.name })
  const tail = new LogTail(store, { pollMs })
  const leases = new LeaseKeeper(store, { ttlMs: leaseMs })
  const context: ProcessingContext = { store, tail, leases }
  const { handlers, projections, sqlProjections } = service.parts

  const readModels = projections.map((projection) => new ReadModel(projection, context))
  const inline = readModels.filter(({ projection }) => projection.inline)
  const targets = (): readonly InlineTarget[] => inline.map(({ projection, current }) => ({ projection, collection: current }))
  const commands = new CommandBus(service, store, inline.length > 0 ? inlineWrites(store, targets) : undefined)
  const processors: Processor[] = []
  const laneRunners: LaneRunner[] = []
  if (run.includes('handlers'))
    for (const handler of handlers) {
      const caller = new HandlerCaller(handler, store, (command, data, { id }) => commands.send(command, data, { id }))
      const sourceFor = (tenure: Tenure): Promise<LogMessages> => LogMessages.open(caller.types, context, tenure)
      const { retry, whenExhausted } = handler.lanes
      const runner = new LaneRunner(caller, sourceFor, handler.lanes, context)
      laneRunners.push(runner)
      processors.push(
        new Processor(
          { name: `handler:${handler.name}`, runner, startAt: handler.startAt, ...(whenExhausted === 'block' && { backoff: retry }) },
          context,
        ),
      )
    }
  if (run.includes('projections'))
    for (const projection of sqlProjections)
      processors.push(
        new Processor(
          { name: sqlProcessorOf(projection), runner: new PageRunner(sqlWorker(projection, store), context), startAt: 'beginning' },
          context,
        ),
      )

  const deadLetters = new DeadLetters(store)
  const actions = new ActionWatcher(deadLetters, store, () => laneRunners)
  const app = new RunningApp({ service, context, commands, readModels, processors, deadLetters, actions })
  try {
    await tail.start()
    leases.start()
    await Promise.all(readModels.map((readModel) => readModel.start({ keepUp: run.includes('projections') })))
    for (const processor of processors) processor.start()
    if (laneRunners.length > 0) actions.start()
  } catch (error) {
    await app.stop()
    throw error
  }
  return app as unknown as App<Handled, Answered>
}
