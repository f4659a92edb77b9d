import type { EncodedCondition, EncodedFind } from '../document-port.ts'
import type { Value } from './pool.ts'
import { Values } from './values.ts'

/** The statement for a page of documents: key, document and the values that were sorted by. */
export function findQuery(table: string, find: EncodedFind): { readonly text: string; readonly values: readonly Value[] } {
  const values = new Values()
  const where = find.where.map((condition) => conditionOf(condition, values))
  if (find.words && find.words.length > 0) where.push(`words @@ ${values.text(find.words.map(prefixOf).join(' & '))}::tsquery`)
  if (find.after) where.push(...placeOf(find, find.after, values))
  const order = [...find.sort.map(({ field, descending }) => `f${field}${descending ? ' DESC' : ''}`), 'key']
  const columns = ['key', 'document', ...find.sort.map(({ field }) => `f${field}`)]
  return {
    text: `SELECT ${columns.join(', ')} FROM ${table} ${where.length > 0 ? `WHERE ${where.join(' AND ')}` : ''}
      ORDER BY ${order.join(', ')} LIMIT ${values.number(find.limit)}`,
    values: values.all,
  }
}

function conditionOf(condition: EncodedCondition, values: Values): string {
  const column = `f${condition.field}`
  if ('in' in condition) return `${column} = ANY (${values.texts(condition.in)})`
  const bounds: string[] = []
  if (condition.from !== undefined) bounds.push(`${column} >= ${values.text(condition.from)}`)
  if (condition.below !== undefined) bounds.push(`${column} < ${values.text(condition.below)}`)
  return bounds.join(' AND ') || 'true'
}

/** A word as PostgreSQL reads it in a `tsquery`: any word that begins with it. */
function prefixOf(word: string): string {
  return `'${word.replaceAll('\\', '\\\\').replaceAll("'", "''")}':*`
}

/**
 * What comes behind a place in the order: behind it in the first field, or level with it there and behind it in the second, and so on. Said
 * once more for the first field alone, so that an index on it can begin there.
 */
function placeOf({ sort }: EncodedFind, after: NonNullable<EncodedFind['after']>, values: Values): readonly string[] {
  const level: string[] = []
  const behind: string[] = []
  const bounds: string[] = []
  for (const [index, { field, descending }] of sort.entries()) {
    const value = values.text(after.sortValues[index] ?? '')
    if (index === 0) bounds.push(`f${field} ${descending ? '<=' : '>='} ${value}`)
    behind.push(`(${[...level, `f${field} ${descending ? '<' : '>'} ${value}`].join(' AND ')})`)
    level.push(`f${field} = ${value}`)
  }
  behind.push(`(${[...level, `key > ${values.text(after.key)}`].join(' AND ')})`)
  return [...bounds, `(${behind.join(' OR ')})`]
}
