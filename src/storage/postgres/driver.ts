import type { RecordedEvent } from '../../message/event.ts'
import type {
  LoadedStream,
  LogRange,
  LogState,
  SqlTransaction,
  StorageCapabilities,
  StorageDriver,
  StoredReceipt,
  StreamInfo,
  StreamLoad,
  StreamRange,
} from '../port.ts'
import type { MessageIdentity, Verdict, WriteSet } from '../write-set.ts'
import { Committer } from './commit.ts'
import type { Database } from './database.ts'
import { Documents } from './documents.ts'
import { isTransient } from './errors.ts'
import { InboxTable } from './inbox.ts'
import { StagingTables } from './outbox/staging.ts'
import { Processors } from './processors.ts'
import { Reader } from './read.ts'
import type { Names } from './names.ts'
import { sqlTransaction } from './transaction.ts'
import { WakeUp } from './wake-up.ts'

/** The store on PostgreSQL: what the port asks for, handed to the parts that do it. */
export class PostgresDriver implements StorageDriver {
  readonly capabilities: StorageCapabilities = { name: 'postgres', parallelCommits: 4, sql: 'postgres' }
  readonly documents: Documents
  readonly inbox: InboxTable
  readonly processors: Processors
  readonly staging: StagingTables
  readonly #database: Database
  readonly #committer: Committer
  readonly #reader: Reader
  readonly #wakeUp: WakeUp

  constructor(database: Database, { schema, channel }: Names, onNotice: (message: string) => void) {
    this.#database = database
    this.documents = new Documents(database, schema)
    this.inbox = new InboxTable(database, schema)
    this.processors = new Processors(database, schema)
    this.staging = new StagingTables(database, schema)
    this.#committer = new Committer(database, schema)
    this.#reader = new Reader(database, schema)
    this.#wakeUp = new WakeUp(database, channel, onNotice)
  }

  commit(sets: readonly WriteSet[]): Promise<readonly Verdict[]> {
    return this.#committer.commit(sets)
  }

  isTransient(error: unknown): boolean {
    return isTransient(error)
  }

  readStream(range: StreamRange): Promise<readonly RecordedEvent[]> {
    return this.#reader.readStream(range)
  }

  readLog(range: LogRange): Promise<readonly RecordedEvent[]> {
    return this.#reader.readLog(range)
  }

  findEvents(identities: readonly MessageIdentity[]): Promise<readonly RecordedEvent[]> {
    return this.#reader.findEvents(identities)
  }

  loadStream(load: StreamLoad): Promise<LoadedStream> {
    return this.#reader.loadStream(load)
  }

  findReceipt(commandId: string): Promise<StoredReceipt | undefined> {
    return this.#reader.findReceipt(commandId)
  }

  log(): Promise<LogState> {
    return this.#reader.log()
  }

  listStreams(page: { readonly category?: string; readonly after?: string; readonly limit: number }): Promise<readonly StreamInfo[]> {
    return this.#reader.listStreams(page)
  }

  transaction<T>(work: (transaction: SqlTransaction) => Promise<T>): Promise<T> {
    return sqlTransaction(this.#database, this.processors, work)
  }

  listen(onCommit: () => void): Promise<() => Promise<void>> {
    return this.#wakeUp.listen(onCommit)
  }

  announce(position: number): void {
    this.#wakeUp.announce(position)
  }

  async close(): Promise<void> {
    await this.#wakeUp.close()
    await this.#database.close()
  }
}
