import { ActionWatcher } from '../processing/action-watcher.ts'
import { DeadLetters } from '../processing/dead-letters.ts'
import type { SendCommand } from '../processing/handler-call.ts'
import { PageRunner } from '../processing/page-runner.ts'
import { LeaseKeeper } from '../processing/lease-keeper.ts'
import { InboxCleaner } from '../processing/inbox-cleaner.ts'
import { LogTail } from '../processing/log-tail.ts'
import type { ProcessingContext } from '../processing/processor.ts'
import { Processor } from '../processing/processor.ts'
import { Sequencer } from '../processing/sequencer.ts'
import { TopicProcessor } from '../processing/topic-processor.ts'
import type { InlineTarget } from '../projection/inline.ts'
import { inlineWrites } from '../projection/inline.ts'
import { ReadModel } from '../projection/read-model.ts'
import type { SqlProjection } from '../projection/sql-projection.ts'
import { sqlProcessorOf, sqlWorker } from '../projection/sql-projection.ts'
import type { EventStoreOptions } from '../storage/event-store.ts'
import { EventStore } from '../storage/event-store.ts'
import type { Storage } from '../storage/port.ts'
import type { Transport, TransportConnection } from '../transport/port.ts'
import type { Alert, AlertThresholds } from './alerts.ts'
import { AlertWatch } from './alerts.ts'
import { RunningApp } from './app.ts'
import type { App } from './app.ts'
import { CommandBus } from './command-bus.ts'
import type { Messaging } from './messaging.ts'
import { checkRetryTopics, checkShards, ensureTopics, runHandlers, runRelays } from './messaging.ts'
import { Requests } from './requests.ts'
import type { Service } from './service.ts'

export interface StartOptions extends Omit<EventStoreOptions, 'source'> {
  readonly storage: Storage
  /**
   * What carries events between services. With it, the service's events are published on the topics that it lists, and its handlers get the events of topics
   * that it subscribes to from there; without it, services share one store and read its log.
   */
  readonly transport?: Transport
  /**
   * What this process runs beside answering commands and queries. Any number of processes of a service may run the same: each processor is run by one of
   * them, and another takes over when that one ends. Default: all.
   */
  readonly run?: readonly ('handlers' | 'projections' | 'relays')[]
  /** Called when something needs an operator, and again when it does not any more. Default: nobody is told. */
  readonly onAlert?: (alert: Alert) => void
  readonly alerts?: AlertThresholds
  /** How long the inbox knows what was handled, so that a message that comes again is recognised. Default: 7 days. */
  readonly inboxRetentionMs?: number
  /** How long after a crash another process takes over. Default: 5,000. */
  readonly leaseMs?: number
  /** How often to look for events of other processes, should their signal be lost. Default: 1,000. */
  readonly pollMs?: number
}

/**
 * Opens the store and runs the service. Resolves when commands and queries are answered; read models may still be catching up.
 * @throws InvalidDefinitionError, UnsupportedStoreError, MissingPackageError, StorageError, TransportUnavailableError, UnsupportedBrokerError, TopicMismatchError
 */
export async function start<Handled extends string, Answered extends string>(
  service: Service<string, Handled, Answered>,
  options: StartOptions,
): Promise<App<Handled, Answered>> {
  const { storage, transport, run = ['handlers', 'projections', 'relays'], leaseMs = 5_000, pollMs = 1_000, inboxRetentionMs } = options
  const store = await EventStore.open(storage, { ...options, source: service.name })
  const tail = new LogTail(store, { pollMs })
  const leases = new LeaseKeeper(store, { ttlMs: leaseMs })
  const context: ProcessingContext = { store, tail, leases }
  const { projections, sendsTo, sqlProjections } = service.parts
  let connection: TransportConnection | undefined
  let app: RunningApp | undefined
  try {
    checkRetryTopics(service, { hasTransport: transport !== undefined })
    connection = await transport?.connect({ environment: store.environment, clientName: service.name })
    await ensureTopics(service, connection)
    await checkShards(service, store)

    const readModels = projections.map((projection) => new ReadModel(projection, context))
    const inline = readModels.filter(({ projection }) => projection.inline)
    const targets = (): readonly InlineTarget[] => inline.map(({ projection, current }) => ({ projection, collection: current }))
    const commands = new CommandBus(service, store, inline.length > 0 ? inlineWrites(store, targets) : undefined)
    const sendCommand: SendCommand = (command, data, { id }) => commands.send(command, data, { id })
    const handling = run.includes('handlers') ? runHandlers(service, context, sendCommand, connection) : noMessaging
    const relaying = run.includes('relays') && connection ? runRelays(service, context, connection) : noRelays
    const processors = [
      ...handling.processors,
      ...(run.includes('projections') ? sqlProjections.map((projection) => sqlProcessor(projection, context)) : []),
      ...relaying.processors,
    ]
    const { groups, laneRunners } = handling
    const deadLetters = new DeadLetters(store)
    const topics = groups.filter((group) => group instanceof TopicProcessor)
    const cleaner = new InboxCleaner(store, () => topics, inboxRetentionMs === undefined ? {} : { retentionMs: inboxRetentionMs })
    const sequencer = store.driver.staging && run.includes('handlers') ? new Sequencer({ store, leases }) : undefined
    const requests = new Requests(service.name, sendsTo, context)
    const takers = [...laneRunners, ...groups, ...relaying.relays]
    const actions = new ActionWatcher(deadLetters, store, () => takers)
    app = new RunningApp({
      service,
      context,
      commands,
      readModels,
      processors,
      groups,
      deadLetters,
      actions,
      connection,
      requests,
      sequencer,
      cleaner,
    })

    await tail.start()
    leases.start()
    sequencer?.start()
    await Promise.all(readModels.map((readModel) => readModel.start({ keepUp: run.includes('projections') })))
    for (const processor of processors) processor.start()
    for (const group of groups) await group.start()
    if (takers.length > 0) actions.start()
    if (topics.length > 0) cleaner.start()
    if (options.onAlert) app.watchWith(alertWatch(app, options.onAlert, options.alerts))
    return app as unknown as App<Handled, Answered>
  } catch (error) {
    if (app) await app.stop()
    else {
      await connection?.close()
      await store.close()
    }
    throw error
  }
}

function alertWatch(app: RunningApp, onAlert: (alert: Alert) => void, thresholds: AlertThresholds = {}): AlertWatch {
  const { service } = app.status()
  const { environment } = app.store
  return new AlertWatch({
    service,
    statuses: () => app.status().processors,
    deadLetters: app.deadLetters,
    thresholds,
    onAlert,
    environment,
  })
}

const noMessaging: Messaging = { processors: [], groups: [], laneRunners: [] }
const noRelays: ReturnType<typeof runRelays> = { processors: [], relays: [] }

function sqlProcessor(projection: SqlProjection, context: ProcessingContext): Processor {
  const runner = new PageRunner(sqlWorker(projection, context.store), context)
  return new Processor({ name: sqlProcessorOf(projection), runner, startAt: 'beginning' }, context)
}
