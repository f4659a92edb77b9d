import type { Statement } from './database.ts'
import { withLiterals } from './literal.ts'
import type { Value } from './pool.ts'

/*
 * Messages of several statements, in the simple protocol. They are one transaction, which ends with the message whatever happens: nothing is
 * left open, what is set locally is set for nobody else, and a pooler cannot spread them over several servers.
 */

const isolation = 'SET TRANSACTION ISOLATION LEVEL READ COMMITTED, READ WRITE; '
const durability = "SELECT set_config('synchronous_commit', 'on', true) WHERE current_setting('synchronous_commit') = 'off'; "

/** A statement that writes, whatever the defaults of the connection are. */
export function writing(text: string, values: readonly Value[], { isDurable }: { readonly isDurable: boolean }): string {
  return `${isolation}${isDurable ? '' : durability}${withLiterals(text, values)}`
}

/** A statement that is to be answered by walking an index in its order. */
export function indexWalk(text: string, values: readonly Value[]): string {
  return `SELECT set_config('enable_seqscan', 'off', true), set_config('enable_bitmapscan', 'off', true); ${withLiterals(text, values)}`
}

/** The transaction is not flushed: a wake-up that is lost in a crash wakes nobody who is still there. */
export const notify: Statement = { text: "SELECT set_config('synchronous_commit', 'off', true), pg_notify($1, $2)" }
