import type { Claim, ProcessorInfo, ProcessorReset, ProcessorStore } from '../port.ts'
import type { CheckpointMove } from '../write-set.ts'
import type { Database, Session, Statement } from './database.ts'
import { numberArray, textArray } from './literal.ts'
import { plainRows } from './pool.ts'

/** Leases, epochs and checkpoints: one row a processor. Times are the server's. */
export class Processors implements ProcessorStore {
  readonly #database: Database
  readonly #statements: ReturnType<typeof statementsOf>

  constructor(database: Database, schema: string) {
    this.#database = database
    this.#statements = statementsOf(schema)
  }

  async claim({ processor, owner, ttlMs, startAt, takesOver = false }: Parameters<ProcessorStore['claim']>[0]): Promise<Claim> {
    for (;;) {
      const [claimed] = await this.#database.write(this.#statements.claim, [
        processor,
        owner,
        String(ttlMs),
        String(startAt),
        String(takesOver),
      ])
      if (claimed) {
        const [epoch, position, state, abandoned] = claimed
        return { claimed: true, epoch: Number(epoch), position: Number(position), state: state ?? undefined, abandoned: abandoned === 't' }
      }
      const [held] = await this.#database.read(this.#statements.holder, [processor])
      // Otherwise it was given back, or removed, between the two statements.
      if (held) return { claimed: false, owner: held[0]!, expiresInMs: Math.ceil(Number(held[1])) }
    }
  }

  async renew({ owner, ttlMs, held }: Parameters<ProcessorStore['renew']>[0]): Promise<readonly string[]> {
    if (held.length === 0) return []
    const names = textArray(held.map(({ processor }) => processor))
    const epochs = numberArray(held.map(({ epoch }) => epoch))
    const rows = await this.#database.write(this.#statements.renew, [owner, String(ttlMs), names, epochs])
    return rows.map(([processor]) => processor!)
  }

  async release({ owner, processors }: Parameters<ProcessorStore['release']>[0]): Promise<void> {
    if (processors.length > 0) await this.#database.write(this.#statements.release, [owner, textArray(processors)])
  }

  async report({ processor, epoch, failure }: Parameters<ProcessorStore['report']>[0]): Promise<void> {
    await this.#database.write(this.#statements.report, [processor, String(epoch), failure])
  }

  async reset(...resets: readonly ProcessorReset[]): Promise<void> {
    const names = textArray(resets.map(({ processor }) => processor))
    const positions = numberArray(resets.map(({ position }) => position))
    await this.#database.write(this.#statements.reset, [names, positions])
  }

  async remove(processor: string): Promise<void> {
    await this.#database.write(this.#statements.remove, [processor])
  }

  async list(): Promise<readonly ProcessorInfo[]> {
    const rows = await this.#database.read(this.#statements.list, [])
    return rows.map(([processor, position, epoch, owner, failure, movedAtMs]) => ({
      processor: processor!,
      position: Number(position),
      epoch: Number(epoch),
      owner: owner ?? undefined,
      failure: failure ?? undefined,
      movedAtMs: Math.floor(Number(movedAtMs)),
    }))
  }

  /**
   * In a transaction of user code. The row stays locked until it commits, so a process that is stopped between the two would hold up whoever
   * takes the processor over; the server ends such a transaction after five seconds.
   */
  async moveCheckpoint(session: Session, { processor, epoch, position, state }: CheckpointMove): Promise<boolean> {
    const { text } = this.#statements.moveCheckpoint
    const { rows } = await session.query({ ...plainRows, text, values: [processor, String(epoch), String(position), state ?? null] })
    return rows.length > 0
  }
}

function statementsOf(schema: string) {
  const processors = `${schema}.processors`
  const nextEpoch = `nextval('${schema.replaceAll("'", "''")}.epochs')`
  const expiry = (ttlMs: string) => `clock_timestamp() + ${ttlMs}::bigint * interval '1 millisecond'`
  const isFree = (row: string) => `(${row}.owner IS NULL OR ${row}.expires_at <= clock_timestamp())`
  return {
    claim: {
      name: 'headwater_claim',
      text: `INSERT INTO ${processors} AS p (processor, owner, expires_at, epoch, position)
        VALUES ($1, $2, ${expiry('$3')}, ${nextEpoch}, $4)
        ON CONFLICT (processor) DO UPDATE SET owner = excluded.owner, expires_at = excluded.expires_at, epoch = excluded.epoch
        WHERE ${isFree('p')} OR p.owner = excluded.owner OR $5
        RETURNING epoch, position, state, coalesce((SELECT b.owner <> $2 AND b.expires_at <= clock_timestamp() FROM ${processors} b WHERE b.processor = $1), false)`,
    },
    holder: {
      name: 'headwater_holder',
      text: `SELECT owner, extract(epoch FROM expires_at - clock_timestamp()) * 1000 FROM ${processors} p
        WHERE processor = $1 AND NOT ${isFree('p')}`,
    },
    // Locked in the order of their names, as everywhere.
    renew: {
      name: 'headwater_renew',
      text: `UPDATE ${processors} p SET expires_at = ${expiry('$2')} FROM (
          SELECT q.processor FROM ${processors} q JOIN unnest($3::text[], $4::bigint[]) AS h (processor, epoch) USING (processor, epoch)
          WHERE q.owner = $1 ORDER BY q.processor FOR NO KEY UPDATE OF q
        ) AS held WHERE p.processor = held.processor RETURNING p.processor`,
    },
    release: {
      name: 'headwater_release',
      text: `UPDATE ${processors} p SET owner = NULL, expires_at = NULL FROM (
          SELECT q.processor FROM ${processors} q WHERE q.owner = $1 AND q.processor = ANY ($2::text[])
          ORDER BY q.processor FOR NO KEY UPDATE
        ) AS held WHERE p.processor = held.processor`,
    },
    report: {
      name: 'headwater_report',
      text: `UPDATE ${processors} SET failure = $3 WHERE processor = $1 AND epoch = $2`,
    },
    // The lease goes too: its owner notices that the epoch is another one, and claims it again like anybody else.
    reset: {
      name: 'headwater_reset',
      text: `UPDATE ${processors} p SET position = placed.position, state = NULL, epoch = ${nextEpoch}, owner = NULL, expires_at = NULL, failure = NULL, moved_at = clock_timestamp()
        FROM (
          SELECT q.processor, r.position FROM ${processors} q JOIN unnest($1::text[], $2::bigint[]) AS r (processor, position) USING (processor)
          ORDER BY q.processor FOR NO KEY UPDATE OF q
        ) AS placed WHERE p.processor = placed.processor`,
    },
    remove: { name: 'headwater_remove', text: `DELETE FROM ${processors} WHERE processor = $1` },
    list: {
      name: 'headwater_list_processors',
      text: `SELECT processor, position, epoch, CASE WHEN NOT ${isFree('p')} THEN owner END, failure, extract(epoch FROM moved_at) * 1000
        FROM ${processors} p ORDER BY processor`,
    },
    moveCheckpoint: {
      text: `UPDATE ${processors} SET position = $3, state = $4, moved_at = clock_timestamp() WHERE processor = $1 AND epoch = $2 AND position <= $3
        RETURNING set_config('idle_in_transaction_session_timeout', '5s', true)`,
    },
  } satisfies Record<string, Statement>
}
