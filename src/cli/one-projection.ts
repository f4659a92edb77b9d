import { silentLog, standardErrorLog } from '../observability/log.ts'
import type { AnyProjection } from '../projection/projection.ts'
import type { SqlProjection } from '../projection/sql-projection.ts'
import type { App } from '../service/app.ts'
import { defineService } from '../service/service.ts'
import { start } from '../service/start.ts'
import { requireService } from './app-module.ts'
import type { GlobalOptions } from './command.ts'
import { UsageError } from './exit-codes.ts'
import { asStoreError, resolveStorage } from './open-store.ts'

export interface FoundProjection {
  readonly service: string
  readonly projection: AnyProjection | SqlProjection
}

/** A projection of the user's service, by its name. */
export async function findProjection(options: GlobalOptions, name: string): Promise<FoundProjection> {
  const { service, path } = await requireService(options)
  const all = [...service.parts.projections, ...service.parts.sqlProjections]
  const projection = all.find((candidate) => candidate.name === name)
  if (projection) return { service: service.name, projection }
  throw new UsageError(`${path} has no projection ${name}; it has: ${all.map((candidate) => candidate.name).join(', ') || 'none'}`)
}

/**
 * Runs a service that consists of this projection alone, so that nothing else of the user's is touched from the command line. It keeps the read
 * model up, as any process of the service does.
 */
export async function withProjection<T>(
  options: GlobalOptions,
  { service, projection }: FoundProjection,
  work: (app: App<string, string>) => Promise<T>,
): Promise<T> {
  const alone = defineService(service, projection.kind === 'projection' ? { projections: [projection] } : { sqlProjections: [projection] })
  const app: App<string, string> = await start(alone, {
    storage: await resolveStorage(options),
    migrate: false,
    log: options.verbose ? standardErrorLog : silentLog,
  })
  try {
    return await work(app)
  } catch (error) {
    throw asStoreError(error, app.store.driver)
  } finally {
    await app.stop()
  }
}
