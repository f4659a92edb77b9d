import { cpus, release, totalmem, type } from 'node:os'
import { DatabaseSync } from 'node:sqlite'
import type { Lab } from './lab.ts'
import { peerVersions } from './peers.ts'
import { onPostgres } from './place.ts'

/** What the figures depend on: they mean nothing without it. */
export async function describeMachine(lab: Lab): Promise<readonly string[]> {
  const [cpu] = cpus()
  const lines = [
    `${cpus().length} × ${cpu?.model ?? 'unknown'}, ${Math.round(totalmem() / 2 ** 30)} GiB, ${type()} ${release()}`,
    `Node ${process.versions.node}`,
  ]
  if (lab.stores.includes('sqlite')) {
    const database = new DatabaseSync(':memory:')
    const { version } = database.prepare('SELECT sqlite_version() AS version').get() as { readonly version: string }
    database.close()
    lines.push(`SQLite ${version}: WAL, synchronous = FULL`)
  }
  if (lab.stores.includes('postgres')) {
    const { url } = await lab.server()
    const names = [
      'server_version',
      'fsync',
      'synchronous_commit',
      'shared_buffers',
      'max_wal_size',
      'checkpoint_timeout',
      'wal_sync_method',
    ]
    const [row] = await onPostgres<Record<string, string>>(
      url,
      `SELECT ${names.map((name) => `current_setting('${name}') AS ${name}`).join(', ')}`,
    )
    const { server_version: version, ...settings } = row!
    lines.push(
      `PostgreSQL ${version}: ${Object.entries(settings)
        .map(([name, value]) => `${name} = ${value}`)
        .join(', ')}`,
    )
    lines.push(...peerVersions())
  }
  return lines
}
