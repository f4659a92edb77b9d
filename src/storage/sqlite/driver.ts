import type { RecordedEvent } from '../../message/event.ts'
import type { DocumentStore } from '../document-port.ts'
import type {
  Inbox,
  LoadedStream,
  LogRange,
  LogState,
  ProcessorStore,
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
import { DocumentTables } from './documents.ts'
import { isTransient } from './errors.ts'
import { InboxTable } from './inbox.ts'
import { ProcessorTable } from './processors.ts'
import { EventReader } from './read.ts'
import { StreamList } from './streams.ts'
import { runTransaction } from './transaction.ts'
import { Announcer, watchCommits } from './wake-up.ts'

/**
 * The port on SQLite. Statements run synchronously on the caller's thread: while one reads or flushes, the event loop stands still (a flush
 * takes as long as the disk does), but never to wait for another process.
 */
export class SqliteDriver implements StorageDriver {
  readonly capabilities: StorageCapabilities = { name: 'sqlite', parallelCommits: 0, sql: 'sqlite' }
  readonly documents: DocumentStore
  readonly inbox: Inbox
  readonly processors: ProcessorStore
  readonly #database: Database
  readonly #committer: Committer
  readonly #reader: EventReader
  readonly #streams: StreamList
  /** None for a database in memory, which nobody else can see. */
  readonly #announcer: Announcer | undefined
  readonly #watches = new Set<() => void>()
  #ownHead = 0

  constructor(database: Database) {
    this.#database = database
    this.documents = new DocumentTables(database)
    this.inbox = new InboxTable(database)
    this.processors = new ProcessorTable(database)
    this.#committer = new Committer(database.writer)
    this.#reader = new EventReader(database.reader)
    this.#streams = new StreamList(database.reader)
    const { file } = database.reader
    this.#announcer = file === null ? undefined : new Announcer(file)
  }

  async commit(sets: readonly WriteSet[]): Promise<readonly Verdict[]> {
    const verdicts = await this.#database.write(() => this.#committer.commit(sets))
    for (const verdict of verdicts) if (verdict.status === 'committed') this.#ownHead = Math.max(this.#ownHead, verdict.position)
    return verdicts
  }

  isTransient(error: unknown): boolean {
    return isTransient(error)
  }

  readStream(range: StreamRange): Promise<readonly RecordedEvent[]> {
    return this.#database.read(() => this.#reader.readStream(range))
  }

  readLog(range: LogRange): Promise<readonly RecordedEvent[]> {
    return this.#database.read(() => this.#reader.readLog(range))
  }

  findEvents(identities: readonly MessageIdentity[]): Promise<readonly RecordedEvent[]> {
    return this.#database.read(() => this.#reader.findEvents(identities))
  }

  loadStream(load: StreamLoad): Promise<LoadedStream> {
    return this.#database.read(() => this.#reader.loadStream(load))
  }

  findReceipt(commandId: string): Promise<StoredReceipt | undefined> {
    return this.#database.read(() => this.#reader.findReceipt(commandId))
  }

  log(): Promise<LogState> {
    return this.#database.read(() => this.#reader.log())
  }

  listStreams(page: Parameters<StorageDriver['listStreams']>[0]): Promise<readonly StreamInfo[]> {
    return this.#database.read(() => this.#streams.page(page))
  }

  transaction<T>(work: (transaction: SqlTransaction) => Promise<T>): Promise<T> {
    return runTransaction(this.#database, work)
  }

  listen(onCommit: () => void): Promise<() => Promise<void>> {
    return this.#database.read(() => this.#listen(onCommit))
  }

  announce(): void {
    this.#announcer?.announce()
  }

  async close(): Promise<void> {
    for (const stop of this.#watches) stop()
    await this.#announcer?.close()
    await this.#database.close()
  }

  #listen(onCommit: () => void): () => Promise<void> {
    const { file } = this.#database.reader
    if (file === null) return async () => {}
    const stop = watchCommits({ file, readHead: () => this.#reader.log().head, ownHead: () => this.#ownHead, onCommit })
    this.#watches.add(stop)
    return async () => {
      stop()
      this.#watches.delete(stop)
    }
  }
}
