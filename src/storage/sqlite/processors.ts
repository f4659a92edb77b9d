import type { Claim, ProcessorInfo, ProcessorReset, ProcessorStore } from '../port.ts'
import type { CheckpointMove } from '../write-set.ts'
import type { Connection, Value } from './connection.ts'
import type { Database } from './database.ts'

/**
 * The processor's epoch (0 when there is no such processor) if whoever wants to move its checkpoint may not: another epoch is current, or the
 * checkpoint is further already, so that this is a late repetition. Undefined when nothing is in the way.
 */
export function fencedBy(connection: Connection, { processor, epoch, position }: CheckpointMove): number | undefined {
  const [actualEpoch, reached] = connection
    .cached<readonly [epoch: number, position: number]>('SELECT epoch, position FROM headwater_processors WHERE processor = ?')
    .get(processor) ?? [0, 0]
  return actualEpoch === epoch && actualEpoch > 0 && position >= reached ? undefined : actualEpoch
}

/** Moves a checkpoint inside a transaction, after `fencedBy` was asked. */
export function moveCheckpoint(connection: Connection, { processor, position, state }: CheckpointMove, nowMs: number): void {
  connection
    .cached('UPDATE headwater_processors SET position = ?, state = ?, moved_ms = ? WHERE processor = ?')
    .run(position, state ?? null, nowMs, processor)
}

type LeaseRow = readonly [position: number, epoch: number, owner: string | null, expiresMs: number, state: string | null]
type ProcessorRow = readonly [
  processor: string,
  position: number,
  epoch: number,
  owner: string | null,
  expiresMs: number,
  failure: string | null,
  movedMs: number,
]

/** Leases and checkpoints. Times are those of this machine's clock, which all processes on the file share. */
export class ProcessorTable implements ProcessorStore {
  readonly #database: Database

  constructor(database: Database) {
    this.#database = database
  }

  async claim(claim: {
    readonly processor: string
    readonly owner: string
    readonly ttlMs: number
    readonly startAt: number
    readonly takesOver?: boolean
  }): Promise<Claim> {
    // Standbys ask again and again: as long as somebody else holds the lease, that costs no write lock.
    const held = await this.#database.read(() => heldByOther(this.#lease(this.#database.reader, claim.processor), claim))
    return held ?? this.#database.write(() => this.#claim(claim))
  }

  renew(renewal: {
    readonly owner: string
    readonly ttlMs: number
    readonly held: readonly { readonly processor: string; readonly epoch: number }[]
  }): Promise<readonly string[]> {
    return this.#database.write(() => {
      const update = this.#database.writer.cached(
        'UPDATE headwater_processors SET expires_ms = ? WHERE processor = ? AND owner = ? AND epoch = ?',
      )
      const expiresMs = Date.now() + renewal.ttlMs
      return renewal.held
        .filter(({ processor, epoch }) => update.run(expiresMs, processor, renewal.owner, epoch).changes === 1)
        .map(({ processor }) => processor)
    })
  }

  release({ owner, processors }: { readonly owner: string; readonly processors: readonly string[] }): Promise<void> {
    return this.#database.write(() => {
      const update = this.#database.writer.cached(
        'UPDATE headwater_processors SET owner = NULL, expires_ms = 0 WHERE processor = ? AND owner = ?',
      )
      for (const processor of processors) update.run(processor, owner)
    })
  }

  report({
    processor,
    epoch,
    failure,
  }: {
    readonly processor: string
    readonly epoch: number
    readonly failure: string | null
  }): Promise<void> {
    return this.#write('UPDATE headwater_processors SET failure = ? WHERE processor = ? AND epoch = ?', failure, processor, epoch)
  }

  /** The lease goes too: its owner notices that the epoch is another one, and claims it again like anybody else. */
  reset(...resets: readonly ProcessorReset[]): Promise<void> {
    return this.#database.write(() => {
      const update = this.#database.writer.cached(
        `UPDATE headwater_processors SET position = ?, state = NULL, moved_ms = ?, epoch = epoch + 1, owner = NULL, expires_ms = 0, failure = NULL
         WHERE processor = ?`,
      )
      const nowMs = Date.now()
      for (const { processor, position } of resets) update.run(position, nowMs, processor)
    })
  }

  remove(processor: string): Promise<void> {
    return this.#database.write(() => removeProcessor(this.#database.writer, processor))
  }

  list(): Promise<readonly ProcessorInfo[]> {
    return this.#database.read(() => {
      const nowMs = Date.now()
      return this.#database.reader
        .cached<ProcessorRow>(
          'SELECT processor, position, epoch, owner, expires_ms, failure, moved_ms FROM headwater_processors ORDER BY processor',
        )
        .all()
        .map(([processor, position, epoch, owner, expiresMs, failure, movedAtMs]) => ({
          processor,
          position,
          epoch,
          owner: owner !== null && expiresMs > nowMs ? owner : undefined,
          failure: failure ?? undefined,
          movedAtMs,
        }))
    })
  }

  #claim(claim: Parameters<ProcessorStore['claim']>[0]): Claim {
    const { processor, owner, ttlMs, startAt } = claim
    const { writer } = this.#database
    const lease = this.#lease(writer, processor)
    const held = heldByOther(lease, claim)
    if (held) return held
    const [position, lastEpoch, lastOwner, expiresMs, state] = lease ?? [
      startAt,
      writer.cached<readonly [number]>('SELECT removed_epoch FROM headwater_store').get()![0],
      null,
      0,
      null,
    ]
    const nowMs = Date.now()
    writer
      .cached(
        `INSERT INTO headwater_processors (processor, position, epoch, owner, expires_ms, moved_ms) VALUES (?, ?, ?, ?, ?, ?)
         ON CONFLICT (processor) DO UPDATE SET epoch = excluded.epoch, owner = excluded.owner, expires_ms = excluded.expires_ms`,
      )
      .run(processor, position, lastEpoch + 1, owner, nowMs + ttlMs, nowMs)
    const abandoned = lastOwner !== null && lastOwner !== owner && expiresMs <= nowMs
    return { claimed: true, epoch: lastEpoch + 1, position, state: state ?? undefined, abandoned }
  }

  #lease(connection: Connection, processor: string): LeaseRow | undefined {
    return connection
      .cached<LeaseRow>('SELECT position, epoch, owner, expires_ms, state FROM headwater_processors WHERE processor = ?')
      .get(processor)
  }

  #write(text: string, ...values: readonly Value[]): Promise<void> {
    return this.#database.write(() => void this.#database.writer.cached(text).run(...values))
  }
}

/**
 * Removes the processor inside a transaction. Its epoch is remembered: should a processor of this name be made again, it begins above, or a
 * writer that was paused all the time could pass for its owner.
 */
export function removeProcessor(connection: Connection, processor: string): void {
  connection
    .cached(
      `UPDATE headwater_store SET removed_epoch =
         max(removed_epoch, coalesce((SELECT epoch FROM headwater_processors WHERE processor = ?), 0))`,
    )
    .run(processor)
  connection.cached('DELETE FROM headwater_processors WHERE processor = ?').run(processor)
}

function heldByOther(
  lease: LeaseRow | undefined,
  { owner, takesOver = false }: { readonly owner: string; readonly takesOver?: boolean },
): Claim | undefined {
  if (!lease || takesOver || lease[2] === null || lease[2] === owner) return undefined
  const expiresInMs = lease[3] - Date.now()
  return expiresInMs > 0 ? { claimed: false, owner: lease[2], expiresInMs } : undefined
}
