import { StorageError } from '../errors.ts'
import type { PostgresClient, PostgresPool } from './pool.ts'

const begin = [
  'BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE',
  "SELECT set_config('synchronous_commit', 'on', true) WHERE current_setting('synchronous_commit') = 'off'",
].join('; ')

/** Runs `work` on one connection of the pool between BEGIN and COMMIT, in a transaction that is flushed to disk whatever the pool's defaults are. */
export async function inTransaction<T>(pool: PostgresPool, work: (client: PostgresClient) => Promise<T>, settings?: string): Promise<T> {
  const client = await pool.connect()
  let lost = false
  // A client that is checked out has no other listener: without this, a connection that breaks between two statements ends the process.
  const onError = (): void => void (lost = true)
  client.on?.('error', onError)
  try {
    await client.query({ text: settings ? `${begin}; ${settings}` : begin })
    const result = await work(client)
    const { command } = await client.query({ text: 'COMMIT' })
    // COMMIT of a transaction in which a statement failed, and whose work took no notice, is answered with ROLLBACK.
    if (command !== 'COMMIT') throw new StorageError('the transaction was rolled back, because a statement in it had failed')
    return result
  } catch (error) {
    await client.query({ text: 'ROLLBACK' }).catch(onError)
    throw error
  } finally {
    client.removeListener?.('error', onError)
    client.release(lost)
  }
}
