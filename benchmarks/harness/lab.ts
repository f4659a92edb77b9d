import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { PostgresServer } from '../../scripts/postgres.ts'
import { startPostgres } from '../../scripts/postgres.ts'
import { fillOrderLog } from './order-log.ts'
import type { Place, StoreName } from './place.ts'
import { onPostgres } from './place.ts'

/** Nothing about durability is relaxed. Checkpoints come when a benchmark asks for them, not by chance in the turn of one contestant. */
const postgresSettings = { shared_buffers: '1GB', max_wal_size: '32GB', checkpoint_timeout: '1h', max_connections: '300' }

export interface LabOptions {
  /** Fewer and shorter rounds, and no log of ten million events: to see that it works, not to publish. */
  readonly quick: boolean
  /** With a log of fifty million events where growth is measured. */
  readonly large: boolean
  readonly stores: readonly StoreName[]
  /** Only these, by their names. */
  readonly brokers?: readonly string[] | undefined
}

/** The databases of one run, made when they are first wanted and removed at its end. */
export class Lab {
  readonly quick: boolean
  readonly large: boolean
  readonly stores: readonly StoreName[]
  readonly brokers: readonly string[] | undefined
  readonly rounds: number
  readonly roundMs: number
  #server: Promise<PostgresServer> | undefined
  #directory: Promise<string> | undefined
  readonly #databases: string[] = []
  readonly #logs = new Map<string, Promise<Place>>()
  #count = 0

  constructor({ quick, large, stores, brokers }: LabOptions) {
    this.quick = quick
    this.large = large
    this.stores = stores
    this.brokers = brokers
    this.rounds = quick ? 3 : 5
    this.roundMs = quick ? 1_000 : 2_500
  }

  /** An empty place of its own. */
  async place(store: StoreName): Promise<Place> {
    const name = `headwater_benchmark_${process.pid}_${++this.#count}`
    if (store === 'sqlite') {
      this.#directory ??= mkdtemp(join(tmpdir(), 'headwater-benchmark-'))
      return { store, path: join(await this.#directory, `${name}.db`) }
    }
    const { url } = await this.server()
    await onPostgres(url, `CREATE DATABASE ${name}`)
    this.#databases.push(name)
    return { store, url: Object.assign(new URL(url), { pathname: `/${name}` }).href }
  }

  /**
   * A store whose log holds so many events of orders. Shared within the run by those who only read it; whoever appends to it takes it for its own,
   * and the next one who asks gets another.
   */
  async orderLog(store: StoreName, events: number, { own = false }: { readonly own?: boolean } = {}): Promise<Place> {
    const key = `${store} ${events}`
    const log = this.#logs.get(key) ?? this.#fill(store, events)
    if (own) this.#logs.delete(key)
    else this.#logs.set(key, log)
    return log
  }

  async #fill(store: StoreName, events: number): Promise<Place> {
    const place = await this.place(store)
    process.stderr.write(`  filling a log of ${events.toLocaleString('en')} events on ${store} …`)
    const startedMs = performance.now()
    await fillOrderLog(place, events)
    process.stderr.write(` ${((performance.now() - startedMs) / 1_000).toFixed(1)} s\n`)
    return place
  }

  /** The PostgreSQL named by DATABASE_URL, else one of our own. */
  server(): Promise<PostgresServer> {
    const given = process.env['DATABASE_URL']
    this.#server ??= given ? Promise.resolve({ url: given, stop: async () => {} }) : startPostgres({ settings: postgresSettings })
    return this.#server
  }

  /** Writes everything to disk, so that every contestant starts with nothing left over from the one before. */
  async checkpoint(): Promise<void> {
    if (this.#server) await onPostgres((await this.#server).url, 'CHECKPOINT')
  }

  async close(): Promise<void> {
    const server = await this.#server
    if (server) {
      for (const name of this.#databases) await onPostgres(server.url, `DROP DATABASE IF EXISTS ${name} WITH (FORCE)`)
      await server.stop()
    }
    if (this.#directory) await rm(await this.#directory, { recursive: true, force: true })
  }
}
