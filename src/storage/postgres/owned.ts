import type pg from 'pg'
import { MissingPackageError, StoreClosedError } from '../errors.ts'
import type { Database, Listener, Session, Statement } from './database.ts'
import { indexWalk, notify } from './message.ts'
import type { Row, Value } from './pool.ts'
import { lastRows, plainRows } from './pool.ts'
import { inTransaction } from './session.ts'

type Pg = typeof pg

/**
 * Set once a connection: what the defaults of a database, role or connection string may have made unfit. `synchronous_commit` is only raised
 * where it is off: who waits for replicas must go on doing so. A generic plan that was made while a table was empty would be kept until the
 * table is analysed, and compiling a plan costs more than running any of ours.
 */
const sessionSettings = `
  SELECT set_config('synchronous_commit', 'on', false) WHERE current_setting('synchronous_commit') = 'off';
  SET SESSION CHARACTERISTICS AS TRANSACTION ISOLATION LEVEL READ COMMITTED READ WRITE;
  SET lock_timeout = '10s';
  SET statement_timeout = '60s';
  SET idle_in_transaction_session_timeout = '60s';
  SET jit = off`

/** A connection that stays silent is looked after by TCP, so that a database that vanished is noticed in minutes rather than never. */
const keepAlive = { keepAlive: true, keepAliveInitialDelayMillis: 10_000 }

/** Longer than the server takes to end a statement by itself: what has not answered by then never will. */
const answerTimeout = { query_timeout: 70_000 }

/** Connections of our own: a pool, one that carries commits in order, and one that listens. */
export class OwnedDatabase implements Database {
  readonly address: string
  readonly storageOption: string
  readonly #Client: Pg['Client']
  readonly #config: pg.PoolConfig
  #pool: pg.Pool | undefined
  #ordered: Promise<pg.Client> | undefined

  /** @throws MissingPackageError */
  static async create(connectionString: string, poolSize: number): Promise<OwnedDatabase> {
    return new OwnedDatabase(await importPg(), connectionString, poolSize)
  }

  private constructor(pg: Pg, connectionString: string, poolSize: number) {
    this.address = addressOf(connectionString)
    this.storageOption = this.address
    this.#Client = pg.Client
    this.#config = { connectionString, connectionTimeoutMillis: 10_000, fallback_application_name: 'headwater', ...keepAlive }
    const verify: pg.PoolConfig['verify'] = (client, done) => {
      // The pool does not listen yet, or no more, while it has the connection verified: what breaks now would end the process. The query says so, too.
      client.on('error', () => undefined)
      void prepareSession(client).then(() => done(), done)
    }
    this.#pool = new pg.Pool({ ...this.#config, max: poolSize, verify })
    // An idle connection that breaks is replaced by the pool; without a listener the error would end the process.
    this.#pool.on('error', () => undefined)
  }

  async read({ name, text, walksIndex }: Statement, values: readonly Value[]): Promise<readonly Row[]> {
    if (walksIndex) return lastRows(await this.#open().query({ ...plainRows, ...answerTimeout, text: indexWalk(text, values) }))
    const result = await this.#open().query({ ...plainRows, ...answerTimeout, ...(name && { name }), text, values: [...values] })
    return result.rows as Row[]
  }

  async write(statement: Statement, values: readonly Value[]): Promise<readonly Row[]> {
    return this.read(statement, values)
  }

  /**
   * All on one connection, and without waiting for the answer to the one before: while a commit is flushed, the next one is on its way. Older
   * versions of pg do not know `pipeline` and send them one after another.
   */
  async writeInOrder({ name, text }: Statement, values: readonly Value[]): Promise<readonly Row[]> {
    this.#open()
    const client = await (this.#ordered ??= this.#connectOrdered())
    const result = await client.query({ ...plainRows, ...(name && { name }), text, values: [...values] })
    return result.rows as Row[]
  }

  async transaction<T>(work: (client: Session) => Promise<T>): Promise<T> {
    // What users run in it may take its time.
    return inTransaction(this.#open(), work, 'SET LOCAL statement_timeout = 0')
  }

  async notify(channel: string, payload: string): Promise<void> {
    await this.write(notify, [channel, payload])
  }

  async connectListener(): Promise<Listener> {
    this.#open()
    const client = new this.#Client(this.#config)
    client.on('error', () => undefined)
    await client.connect()
    return {
      query: (query) => client.query(query),
      onNotification: (listener) => void client.on('notification', listener),
      onEnd: (listener) => void client.once('end', listener),
      end: () => void client.end().catch(() => undefined),
    }
  }

  async close(): Promise<void> {
    const pool = this.#pool
    if (!pool) return
    this.#pool = undefined
    const ordered = await this.#ordered?.catch(() => undefined)
    await Promise.all([pool.end(), ordered?.end().catch(() => undefined)])
  }

  /** What it returns is kept until the connection ends, so that the next write makes another. */
  #connectOrdered(): Promise<pg.Client> {
    const client = new this.#Client({ ...this.#config, ...answerTimeout, pipeline: true })
    const connected = (async () => {
      await client.connect()
      await prepareSession(client)
      return client
    })()
    const forget = (): void => {
      if (this.#ordered === connected) this.#ordered = undefined
    }
    client.on('error', forget)
    client.on('end', forget)
    connected.catch(() => {
      forget()
      return client.end().catch(() => undefined)
    })
    return connected
  }

  #open(): pg.Pool {
    if (!this.#pool) throw new StoreClosedError()
    return this.#pool
  }
}

async function prepareSession(client: pg.ClientBase): Promise<void> {
  await client.query(sessionSettings)
}

/** `postgres://user@host:5432/database`: neither the password nor parameters, which may hold one too. */
function addressOf(connectionString: string): string {
  try {
    const { username, hostname, port, pathname } = new URL(connectionString)
    return `postgres://${username && `${username}@`}${hostname}${port && `:${port}`}${pathname}`
  } catch {
    return 'postgres://…'
  }
}

async function importPg(): Promise<Pg> {
  try {
    return (await import('pg')).default
  } catch (error) {
    throw new MissingPackageError('pg', 'the PostgreSQL storage', error)
  }
}
