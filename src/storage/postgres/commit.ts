import type { EncodedEvent, StreamAppend, Verdict, WriteSet } from '../write-set.ts'
import { refusals } from './commit-function.ts'
import type { Database, Statement } from './database.ts'
import { encodeSets } from './encode-sets.ts'
import { encodeExpectation, isMet } from './expectation.ts'
import { readNumberArray } from './literal.ts'
import type { Value } from './pool.ts'

/** Commits write sets with one call of one function. */
export class Committer {
  readonly #database: Database
  readonly #commitOne: Statement
  readonly #commitSets: Statement

  constructor(database: Database, schema: string) {
    this.#database = database
    this.#commitOne = { name: 'headwater_commit_one', text: `SELECT ${schema}.commit_one(${placeholders(16)})`, isDurable: true }
    this.#commitSets = { name: 'headwater_commit_sets', text: `SELECT * FROM ${schema}.commit_sets(${placeholders(30)})`, isDurable: true }
  }

  async commit(sets: readonly WriteSet[]): Promise<readonly Verdict[]> {
    if (sets.length === 0) return []
    const single = sets.length === 1 ? singleEventOf(sets[0]!) : undefined
    return single ? [await this.#commitSingle(single, sets[0]!)] : this.#commitAll(sets)
  }

  async #commitSingle({ append, event }: SingleEvent, { receipt }: WriteSet): Promise<Verdict> {
    const { stream, expectedVersion } = append
    const [row] = await this.#database.writeInOrder(this.#commitOne, [
      stream,
      String(encodeExpectation(expectedVersion)),
      event.type,
      String(event.schemaVersion),
      event.id,
      event.source,
      String(event.timeMs),
      event.correlationId,
      event.causationId,
      event.data,
      event.metadata,
      event.tags.length > 0 ? JSON.stringify(event.tags) : null,
      ...(receipt ? [receipt.commandId, receipt.target, receipt.payloadHash, String(receipt.version)] : noReceipt),
    ])
    const [refusal, first = 0, second = 0] = readNumberArray(row![0]!)
    switch (refusal) {
      case 0:
        return { status: 'committed', firstPosition: first, position: first, versions: [second] }
      case refusals.versionConflict:
        return { status: 'version-conflict', stream, expected: expectedVersion, actual: first }
      case refusals.receiptExists:
        return { status: 'receipt-exists' }
      default:
        return { status: 'duplicate-id' }
    }
  }

  async #commitAll(sets: readonly WriteSet[]): Promise<readonly Verdict[]> {
    const { values, takesOrder } = encodeSets(sets)
    const [row] = takesOrder
      ? await this.#database.writeInOrder(this.#commitSets, values)
      : await this.#database.write(this.#commitSets, values)
    const [head, versions, verdicts, details] = row!
    return readVerdicts(sets, {
      head: Number(head),
      versions: versions ? readNumberArray(versions) : [],
      refusals: verdicts ? readNumberArray(verdicts) : undefined,
      details: details ? readNumberArray(details) : [],
    })
  }
}

const noReceipt: readonly Value[] = [null, null, null, null]

interface SingleEvent {
  readonly append: StreamAppend
  readonly event: EncodedEvent
}

/** The set's only event, if that and perhaps a receipt is all there is to it. */
function singleEventOf({ appends, conditions, checkpoint, documents, inbox, snapshots }: WriteSet): SingleEvent | undefined {
  const append = appends[0]
  if (appends.length !== 1 || append?.events.length !== 1) return undefined
  if (checkpoint || inbox || conditions?.length || documents?.length || snapshots?.length) return undefined
  return { append, event: append.events[0]! }
}

interface Judgement {
  /** Of the log, before the call. */
  readonly head: number
  /** Of each append's stream, before the call; over the appends of all sets. */
  readonly versions: readonly number[]
  /** Undefined when all sets are committed. */
  readonly refusals: readonly number[] | undefined
  readonly details: readonly number[]
}

/** Numbers what was committed as the function did: in order, without a gap for what was refused. */
function readVerdicts(sets: readonly WriteSet[], judgement: Judgement): readonly Verdict[] {
  let position = judgement.head
  let append = 0
  /** Versions of the streams that several appends share. */
  const reached = new Map<string, number>()
  return sets.map((set, index) => {
    const before = judgement.versions.slice(append, (append += set.appends.length))
    const refusal = judgement.refusals?.[index] ?? 0
    if (refusal !== 0) return refusalOf(set, refusal, before, judgement.details[index] ?? 0)
    if (set.appends.length === 0) return { status: 'committed', firstPosition: 0, position: 0, versions: [] }
    const firstPosition = position + 1
    const versions = set.appends.map(({ stream, events }, place) => {
      position += events.length
      const version = (reached.get(stream) ?? before[place]!) + events.length
      reached.set(stream, version)
      return version
    })
    return { status: 'committed', firstPosition, position, versions }
  })
}

function refusalOf(set: WriteSet, refusal: number, before: readonly number[], detail: number): Verdict {
  switch (refusal) {
    case refusals.fenced:
      return { status: 'fenced', actualEpoch: detail }
    case refusals.inInbox:
      return { status: 'in-inbox' }
    case refusals.receiptExists:
      return { status: 'receipt-exists' }
    case refusals.duplicateId:
      return { status: 'duplicate-id' }
    case refusals.conditionFailed:
      return { status: 'condition-failed', position: detail }
    default: {
      const place = set.appends.findIndex(({ expectedVersion }, index) => !isMet(expectedVersion, before[index]!))
      const { stream, expectedVersion } = set.appends[place]!
      return { status: 'version-conflict', stream, expected: expectedVersion, actual: before[place]! }
    }
  }
}

function placeholders(count: number): string {
  return Array.from({ length: count }, (_, index) => `$${index + 1}`).join(', ')
}
