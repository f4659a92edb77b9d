import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import type { Finding } from './finding.ts'
import { ok, problem, warning } from './finding.ts'

const leastNode = 24
/** Before this version, several processes on one file could damage it: https://www.sqlite.org/wal.html#walresetbug */
const leastSqlite = '3.51.3'

/** What this program runs on and with, whatever the store is. */
export function checkProgram(): readonly Finding[] {
  return [checkNode(), checkSqlite(), checkPg()]
}

function checkNode(): Finding {
  const { node } = process.versions
  return Number.parseInt(node, 10) >= leastNode
    ? ok('node', node)
    : problem('node', `${node} is older than ${leastNode}`, `install Node ${leastNode} or later`)
}

function checkSqlite(): Finding {
  const { sqlite } = process.versions
  if (sqlite === undefined) return problem('sqlite', 'this Node was built without SQLite', 'install the Node of nodejs.org')
  return isAtLeast(sqlite, leastSqlite)
    ? ok('sqlite', `${sqlite}, a part of Node`)
    : warning('sqlite', `${sqlite} can damage a file that several processes write to`, `install a Node with SQLite ${leastSqlite} or later`)
}

function checkPg(): Finding {
  try {
    const path = createRequire(import.meta.url).resolve('pg/package.json')
    const { version } = JSON.parse(readFileSync(path, 'utf8')) as { readonly version: string }
    return ok('pg', `${version}, the client for PostgreSQL`)
  } catch {
    return ok('pg', 'not installed; stores on PostgreSQL need it: npm install pg')
  }
}

function isAtLeast(version: string, least: string): boolean {
  return version.localeCompare(least, 'en', { numeric: true }) >= 0
}
