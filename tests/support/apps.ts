import { onTestFinished } from 'vitest'
import { silentLog } from '../../src/observability/log.ts'
import type { App } from '../../src/service/app.ts'
import type { Service } from '../../src/service/service.ts'
import type { StartOptions } from '../../src/service/start.ts'
import { start } from '../../src/service/start.ts'

/** Starts a service that is stopped when the test ends, if it was not stopped before. */
export async function startForTest<Handled extends string, Answered extends string>(
  service: Service<string, Handled, Answered>,
  options: StartOptions,
): Promise<App<Handled, Answered>> {
  const app = await start(service, { log: silentLog, ...options })
  onTestFinished(() => app.stop())
  return app
}
