import type { EncodedCondition, EncodedFind } from '../document-port.ts'
import type { Collection } from './collection.ts'
import { documentsTable, wordsTable } from './collection.ts'
import type { Value } from './connection.ts'
import { limitTo } from './connection.ts'

/** Rows of (key, document, the sort fields in their order). */
export interface FindSelect {
  readonly text: string
  readonly values: readonly Value[]
}

type Bind = (value: Value) => '?'

export function selectDocuments(collection: Collection, { where, words, sort, after, limit }: EncodedFind): FindSelect {
  const values: Value[] = []
  const bind: Bind = (value) => {
    values.push(value)
    return '?'
  }
  const conditions = [
    ...where.map((condition) => fieldCondition(condition, bind)),
    ...wordsCondition(collection, words ?? [], bind),
    ...(after ? behind(sort, after, bind) : []),
  ]
  const filter = conditions.length > 0 ? `WHERE ${conditions.join(' AND ')}` : ''
  const columns = ['key', 'document', ...sort.map(({ field }) => `f${field}`)]
  const order = [...sort.map(({ field, descending }) => (descending ? `f${field} DESC` : `f${field}`)), 'key']
  const text = `SELECT ${columns.join(', ')} FROM ${documentsTable(collection)} ${filter} ORDER BY ${order.join(', ')} ${limitTo(bind(limit))}`
  return { text, values }
}

function fieldCondition(condition: EncodedCondition, bind: Bind): string {
  const column = `f${condition.field}`
  if ('in' in condition) return condition.in.length === 0 ? 'FALSE' : `${column} IN (${condition.in.map(bind).join(', ')})`
  const bounds: string[] = []
  if (condition.from !== undefined) bounds.push(`${column} >= ${bind(condition.from)}`)
  if (condition.below !== undefined) bounds.push(`${column} < ${bind(condition.below)}`)
  return bounds.length === 0 ? 'TRUE' : bounds.join(' AND ')
}

/** All words, each at the beginning of one. Before the index of words is built, the texts themselves are searched. */
function wordsCondition(collection: Collection, words: readonly string[], bind: Bind): readonly string[] {
  const wanted = words.filter((word) => word !== '')
  if (wanted.length === 0) return []
  if (!collection.searchable) return ['FALSE']
  if (!collection.hasWordIndex) return wanted.map((word) => `instr(' ' || words, ${bind(` ${word}`)}) > 0`)
  const table = wordsTable(collection)
  const match = wanted.map((word) => `"${word.replaceAll('"', '""')}"*`).join(' ')
  return [`number IN (SELECT rowid FROM ${table} WHERE ${table} MATCH ${bind(match)})`]
}

/**
 * What comes behind a place in the order: behind in the first field, or equal there and behind in the next, and so on, the key last. The
 * first field's bound stands there once more by itself, because only so can SQLite begin at that place of an index.
 */
function behind(sort: EncodedFind['sort'], after: NonNullable<EncodedFind['after']>, bind: Bind): readonly string[] {
  const [first] = sort
  if (!first) return [`key > ${bind(after.key)}`]
  const start = `f${first.field} ${first.descending ? '<=' : '>='} ${bind(after.sortValues[0] ?? '')}`
  const alternatives = [...sort, undefined].map((last, depth) => {
    const equal = sort.slice(0, depth).map(({ field }, index) => `f${field} = ${bind(after.sortValues[index] ?? '')}`)
    const beyond = last
      ? `f${last.field} ${last.descending ? '<' : '>'} ${bind(after.sortValues[depth] ?? '')}`
      : `key > ${bind(after.key)}`
    return `(${[...equal, beyond].join(' AND ')})`
  })
  return [start, `(${alternatives.join(' OR ')})`]
}
