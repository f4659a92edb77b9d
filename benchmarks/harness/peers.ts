import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'

/** What is said where peers are left out. */
export const peersMissing = 'Emmett and Act are left out: they are not installed. Install them with:  npm ci --prefix benchmarks'

/** What a peer can do in these benchmarks: append one event to a stream that must be at a version (0: it must be new). */
export interface Peer extends AsyncDisposable {
  readonly name: string
  append(stream: string, type: string, data: object, version: number): Promise<void>
}

/** Peers have no types here: they are installed apart, and perhaps not at all. */
// oxlint-disable-next-line typescript/no-explicit-any -- see above
type Untyped = any

const directory = join(import.meta.dirname, '../node_modules')

export function arePeersInstalled(): boolean {
  return ['@event-driven-io/emmett-postgresql', '@rotorsoft/act-pg'].every((name) => existsSync(join(directory, name)))
}

export function peerVersions(): readonly string[] {
  if (!arePeersInstalled()) return []
  return ['@event-driven-io/emmett-postgresql', '@rotorsoft/act-pg'].map((name) => {
    const { version } = JSON.parse(readFileSync(join(directory, name, 'package.json'), 'utf8')) as { readonly version: string }
    return `${name} ${version}`
  })
}

async function load(name: string): Promise<Untyped> {
  return import(name)
}

/** Emmett's event store on an empty database, as its documentation sets it up. */
export async function openEmmett(url: string): Promise<Peer> {
  const { getPostgreSQLEventStore } = await load('@event-driven-io/emmett-postgresql')
  const store = getPostgreSQLEventStore(url)
  await store.schema.migrate()
  return {
    name: 'Emmett',
    async append(stream, type, data, version) {
      const expectedStreamVersion = version === 0 ? 'STREAM_DOES_NOT_EXIST' : BigInt(version)
      await store.appendToStream(stream, [{ type, data }], { expectedStreamVersion })
    },
    [Symbol.asyncDispose]: () => store.close(),
  }
}

/** Act's store on an empty database. Its `commit` is called directly, without the rest of the framework. */
export async function openAct(url: string): Promise<Peer> {
  const { logger } = await load('@rotorsoft/act')
  logger.level = 'silent'
  const { PostgresStore } = await load('@rotorsoft/act-pg')
  const { hostname, port, username, password, pathname } = new URL(url)
  const address = { host: hostname, port: Number(port || 5432), user: username, password: decodeURIComponent(password) }
  const store = new PostgresStore({ ...address, database: pathname.slice(1), schema: 'act', table: 'events' })
  await store.seed()
  return {
    name: 'Act',
    async append(stream, name, data, version) {
      await store.commit(stream, [{ name, data }], { correlation: stream, causation: {} }, version === 0 ? undefined : version - 1)
    },
    [Symbol.asyncDispose]: () => store.dispose(),
  }
}
