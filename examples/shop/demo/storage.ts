import type { Storage } from 'headwater'
import { UsageError } from '../usage-error.ts'

/** The store that the command line names. PostgreSQL's client is loaded only when it is asked for. */
export async function openStorage(name: string, flag = '--storage'): Promise<Storage> {
  if (/^sqlite:./.test(name)) {
    const { sqlite } = await import('headwater/sqlite')
    return sqlite(name.slice('sqlite:'.length))
  }
  if (/^postgres(ql)?:\/\/./.test(name)) {
    const { postgres } = await import('headwater/postgres')
    const url = new URL(name)
    const schema = url.searchParams.get('schema')
    url.searchParams.delete('schema')
    return postgres(url.href, { ...(schema && { schema }) })
  }
  throw new UsageError(`${flag} takes sqlite:PATH or postgres://user:password@host/database, not '${withoutPassword(name)}'`)
}

/** Fit to be printed. */
export function withoutPassword(name: string): string {
  return name.replace(/:[^:@/]*@/, ':…@')
}

/** The bank's ledger lies beside the shop's file: `shop.db` and `shop-bank.db`. */
export function bankPathOf(name: string): string {
  const [, path = 'shop.db'] = /^sqlite:(.+)$/.exec(name) ?? []
  return path === ':memory:' ? path : path.replace(/(\.\w+)?$/, '-bank.db')
}
