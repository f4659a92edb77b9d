import { setTimeout as delay } from 'node:timers/promises'
import { passes } from '../../src/conformance/storage/matching.ts'
import { isAskedFor } from '../../src/storage/event-query.ts'
import { compareBytes } from '../../src/conformance/storage/names.ts'
import { recorded } from '../../src/conformance/storage/recorded.ts'
import type { RecordedEvent } from '../../src/message/event.ts'
import { StoreClosedError, UnsupportedStoreError } from '../../src/storage/errors.ts'
import type { Storage, StorageDriver, StoredReceipt } from '../../src/storage/port.ts'
import { categoryOf } from '../../src/storage/stream-name.ts'
import type {
  Committed,
  ExpectedVersion,
  MessageIdentity,
  SnapshotWrite,
  StreamAppend,
  Verdict,
  WriteSet,
} from '../../src/storage/write-set.ts'
import { MemoryDocuments } from './memory-documents.ts'
import { MemoryProcessors } from './memory-processors.ts'

/**
 * The port in the fewest words, as the model with which real drivers are compared: everything in plain collections, and nothing between
 * looking and writing, so that each call happens at one moment.
 */
export function memory(): Storage {
  const store = new MemoryStore()
  let made = false
  return {
    name: 'memory',
    async open({ migrate }) {
      if (!made && !migrate) throw new UnsupportedStoreError('the store has not been made yet')
      made = true
      return store.driver()
    },
  }
}

/** One store of the model, for those who want to look at it between two calls. */
export class MemoryStore {
  readonly id = crypto.randomUUID()
  readonly log: RecordedEvent[] = []
  readonly streams = new Map<string, RecordedEvent[]>()
  readonly identities = new Map<string, RecordedEvent>()
  readonly receipts = new Map<string, StoredReceipt>()
  readonly snapshots = new Map<string, SnapshotWrite>()
  readonly processors = new MemoryProcessors()
  readonly documents = new MemoryDocuments(this.processors)
  readonly inbox = new Map<string, number>()
  readonly listeners = new Set<() => void>()

  driver(): StorageDriver {
    let closed = false
    const listening = new Set<() => void>()
    // Every call takes a moment, as it does elsewhere, so that concurrent callers do interleave.
    const opened = async <T>(work: () => T): Promise<T> => {
      await delay(0)
      if (closed) throw new StoreClosedError()
      return work()
    }
    return {
      capabilities: { name: 'memory', parallelCommits: 2, sql: false },
      commit: (sets) => opened(() => sets.map((set) => this.judge(set) ?? this.#apply(set))),
      isTransient: () => false,
      readStream: (range) =>
        opened(() => {
          const { fromVersion, toVersion, untilMs = Infinity, direction, limit } = range
          const [lowest = 1, highest = Infinity] = direction === 'forwards' ? [fromVersion, toVersion] : [toVersion, fromVersion]
          const all = this.#stream(range.stream).filter(
            ({ version, time }) => version >= lowest && version <= highest && time.getTime() <= untilMs,
          )
          return (direction === 'forwards' ? all : all.toReversed()).slice(0, limit)
        }),
      readLog: ({ after, upTo = Infinity, limit, ...filter }) =>
        opened(() => this.log.filter((one) => one.position > after && one.position <= upTo && passes(one, filter)).slice(0, limit)),
      findEvents: (identities) =>
        opened(() => identities.map((identity) => this.identities.get(identityOf(identity))).filter((one) => one !== undefined)),
      loadStream: ({ stream, snapshot: wanted, limit }) =>
        opened(() => {
          const found = wanted && this.snapshots.get(JSON.stringify([stream, wanted.aggregate]))
          const usable = found?.schemaVersion === wanted?.schemaVersion && (found?.version ?? 0) <= this.#stream(stream).length
          const snapshot = found && usable ? { version: found.version, state: JSON.parse(found.state) as unknown } : undefined
          const from = snapshot?.version ?? 0
          return { snapshot, events: this.#stream(stream).slice(from, from + limit) }
        }),
      findReceipt: (commandId) => opened(() => this.receipts.get(commandId)),
      log: () => opened(() => ({ id: this.id, head: this.log.length, firstPosition: 1 })),
      listStreams: ({ category, after = '', limit }) =>
        opened(() =>
          [...this.streams]
            .filter(([stream]) => compareBytes(stream, after) > 0 && (category === undefined || categoryOf(stream) === category))
            .toSorted(([left], [right]) => compareBytes(left, right))
            .slice(0, limit)
            .map(([stream, events]) => ({ stream, version: events.length, position: events.at(-1)!.position })),
        ),
      documents: this.documents.port(opened),
      inbox: {
        find: (consumer, messages) => opened(() => messages.filter((message) => this.inbox.has(entryOf(consumer, message)))),
        forget: ({ consumer, beforeMs, limit }) =>
          opened(() => {
            const old = [...this.inbox].filter(
              ([entry, timeMs]) => timeMs < beforeMs && entry.startsWith(JSON.stringify([consumer]).slice(0, -1)),
            )
            for (const [entry] of old.slice(0, limit)) this.inbox.delete(entry)
            return Math.min(old.length, limit)
          }),
      },
      processors: this.processors.port(opened),
      transaction: () => Promise.reject(new Error('there is no SQL in memory')),
      listen: (onCommit) =>
        opened(() => {
          const listener = (): void => onCommit()
          listening.add(listener)
          this.listeners.add(listener)
          return async () => void this.listeners.delete(listener)
        }),
      announce: () => {
        for (const listener of this.listeners) setImmediate(() => this.listeners.has(listener) && listener())
      },
      close: async () => {
        closed = true
        for (const listener of listening) this.listeners.delete(listener)
      },
    }
  }

  #stream(stream: string): readonly RecordedEvent[] {
    return this.streams.get(stream) ?? []
  }

  /** Why the set would be refused now, in the order in which the port wants to be told; undefined when it would be committed. */
  judge({ appends, conditions = [], checkpoint, inbox, receipt }: WriteSet): Verdict | undefined {
    if (checkpoint) {
      const actualEpoch = this.processors.epochOf(checkpoint.processor)
      const isLate = checkpoint.position < (this.processors.positionOf(checkpoint.processor) ?? 0)
      if (actualEpoch !== checkpoint.epoch || isLate) return { status: 'fenced', actualEpoch }
    }
    if (inbox?.messages.some((message) => this.inbox.has(entryOf(inbox.consumer, message)))) return { status: 'in-inbox' }
    if (receipt && this.receipts.has(receipt.commandId)) return { status: 'receipt-exists' }
    if (appends.some(({ events }) => events.some((event) => this.identities.has(identityOf(event))))) return { status: 'duplicate-id' }
    for (const { stream, expectedVersion: expected } of appends) {
      const actual = this.#stream(stream).length
      if (!isMet(expected, actual)) return { status: 'version-conflict', stream, expected, actual }
    }
    for (const { query, after } of conditions) {
      const broken = this.log.find((event) => event.position > after && isAskedFor(query, event.stream, event))
      if (broken) return { status: 'condition-failed', position: broken.position }
    }
    return undefined
  }

  #apply({ appends, checkpoint, documents = [], inbox, receipt, snapshots = [] }: WriteSet): Committed {
    const head = this.log.length
    const versions = appends.map((append) => this.#append(append))
    const eventCount = this.log.length - head
    if (checkpoint) this.processors.move(checkpoint)
    for (const message of inbox?.messages ?? []) this.inbox.set(entryOf(inbox!.consumer, message), Date.now())
    for (const write of documents) this.documents.write(write)
    const firstPosition = eventCount > 0 ? head + 1 : head
    if (receipt) this.receipts.set(receipt.commandId, { ...receipt, firstPosition, position: this.log.length, eventCount })
    for (const snapshot of snapshots) {
      const key = JSON.stringify([snapshot.stream, snapshot.aggregate])
      const kept = this.snapshots.get(key)
      if (kept?.schemaVersion !== snapshot.schemaVersion || kept.version < snapshot.version) this.snapshots.set(key, snapshot)
    }
    if (eventCount === 0) return { status: 'committed', firstPosition: 0, position: 0, versions }
    return { status: 'committed', firstPosition, position: this.log.length, versions }
  }

  #append({ stream, events }: StreamAppend): number {
    const history = this.streams.get(stream) ?? []
    this.streams.set(stream, history)
    for (const event of events) {
      const stored = recorded(event, { stream, version: history.length + 1, position: this.log.length + 1 })
      history.push(stored)
      this.log.push(stored)
      this.identities.set(identityOf(event), stored)
    }
    return history.length
  }
}

function entryOf(consumer: string, { source, id }: MessageIdentity): string {
  return JSON.stringify([consumer, source, id])
}

export function isMet(expected: ExpectedVersion, actual: number): boolean {
  if (expected === 'any') return true
  if (expected === 'no-stream') return actual === 0
  if (expected === 'stream-exists') return actual > 0
  return expected === actual
}

function identityOf({ source, id }: { readonly source: string; readonly id: string }): string {
  return JSON.stringify([source, id])
}
