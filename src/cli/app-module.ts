import { access } from 'node:fs/promises'
import { resolve } from 'node:path'
import { pathToFileURL } from 'node:url'
import type { Service } from '../service/service.ts'
import type { Storage } from '../storage/port.ts'
import type { Transport } from '../transport/port.ts'
import type { GlobalOptions } from './command.ts'
import { UsageError } from './exit-codes.ts'

/** The user's module that lets the command line work with their definitions. */
export interface AppModule {
  readonly path: string
  readonly service: Service<string, string, string> | undefined
  readonly storage: Storage | undefined
  readonly transport: Transport | undefined
}

const defaultNames = ['headwater.config.ts', 'headwater.config.js', 'headwater.config.mjs']

/**
 * The module of `--app`; else headwater.config.{ts,js,mjs} of the working directory, if it is there.
 * @throws UsageError
 */
export async function loadApp({ app }: GlobalOptions): Promise<AppModule | undefined> {
  const path = app === undefined ? await findDefault() : resolve(app)
  if (path === undefined) return undefined
  let module: Readonly<Record<string, unknown>>
  try {
    module = await import(pathToFileURL(path).href)
  } catch (error) {
    throw new UsageError(`cannot load ${path}: ${error instanceof Error ? error.message : String(error)}`, { cause: error })
  }
  const { service, storage, transport } = module
  if (service !== undefined && !isService(service)) throw new UsageError(`${path}: \`service\` must be what defineService(…) returns`)
  if (storage !== undefined && !isStorage(storage))
    throw new UsageError(`${path}: \`storage\` must be what sqlite(…) or postgres(…) returns`)
  if (transport !== undefined && !isTransport(transport))
    throw new UsageError(`${path}: \`transport\` must be what kafka(…), rabbitmq(…), nats(…), sqs(…) or log(…) returns`)
  return { path, service, storage, transport }
}

/** For commands that work with the definitions themselves. */
export async function requireService(options: GlobalOptions): Promise<AppModule & { readonly service: Service<string, string, string> }> {
  const app = await loadApp(options)
  if (!app)
    throw new UsageError(
      `which service? Say --app MODULE, a module that exports \`service\`, or have such a ${defaultNames[0]} in this directory`,
    )
  if (!app.service) throw new UsageError(`${app.path} exports no \`service\``)
  return { ...app, service: app.service }
}

async function findDefault(): Promise<string | undefined> {
  for (const name of defaultNames) {
    const path = resolve(name)
    if (await exists(path)) return path
  }
  return undefined
}

function exists(path: string): Promise<boolean> {
  return access(path).then(
    () => true,
    () => false,
  )
}

// By their shape, not their class: the module may have got them from another copy of this package.
function isService(value: unknown): value is Service<string, string, string> {
  return typeof value === 'object' && value !== null && 'kind' in value && value.kind === 'service' && 'parts' in value
}

function isTransport(value: unknown): value is Transport {
  return typeof value === 'object' && value !== null && 'connect' in value && typeof value.connect === 'function'
}

function isStorage(value: unknown): value is Storage {
  return typeof value === 'object' && value !== null && 'open' in value && typeof value.open === 'function'
}
