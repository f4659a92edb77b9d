import type { LogFilter } from '../port.ts'
import type { EventQueryItem } from '../write-set.ts'
import { limitTo } from './connection.ts'

/** A select with three placeholders before those of `values`: positions after `?1`, up to `?2`, at most `?3` rows. */
export interface FilteredSelect {
  readonly text: string
  readonly values: readonly string[]
}

// Beyond this, walking the log is not slower than merging so many index ranges, and SQLite's own limit (500) is near.
const maxBranches = 64

/**
 * Columns (of `e`) of the events that pass the filter, in log order. The filter itself is a predicate on each row; where an index can name
 * the candidates, the rows come from there. Each value has its own range of the index, already in log order, and SQLite merges the ranges as
 * it goes: three times as fast as `type IN (…) ORDER BY position`, which collects and sorts all that is left of the log for each page.
 *
 * `walk`: go along the log even so, which is best when few positions are asked for.
 */
export function selectFiltered(columns: string, filter: LogFilter, walk: boolean): FilteredSelect {
  const values: string[] = []
  const bind = (value: string): string => `?${values.push(value) + 3}`
  const branches = walk ? [] : candidates(filter, bind)
  const predicate = ['TRUE', ...conditions(filter, bind)].join(' AND ')
  const text =
    branches.length === 0
      ? `SELECT ${columns} FROM headwater_events e
         WHERE e.position > ?1 AND e.position <= ?2 AND ${predicate} ORDER BY e.position ${limitTo('?3')}`
      : `SELECT ${columns} FROM (${branches.join(' UNION ')} ORDER BY 1) candidate
         CROSS JOIN headwater_events e ON e.position = candidate.position WHERE ${predicate} ORDER BY candidate.position ${limitTo('?3')}`
  return { text, values }
}

type Bind = (value: string) => string

/** Selects whose union, in log order, holds every event that passes, perhaps with others. None where no index helps. */
function candidates(filter: LogFilter, bind: Bind): readonly string[] {
  const { correlationId, query, types } = filter
  if (correlationId !== undefined) return [eventsWhere('correlation_id', correlationId, bind)]
  const keys = types ? [{ types }] : (query?.items ?? [])
  if (keys.some((key) => isUnbounded(key)) || countBranches(keys) > maxBranches) return []
  return keys.flatMap((key: EventQueryItem) => {
    if (key.tags?.[0] !== undefined) return [tagged(key.tags[0], bind)]
    if (key.streams) return key.streams.map((stream) => eventsOf(stream, bind))
    return (key.types ?? []).map((type) => eventsWhere('type', type, bind))
  })
}

function isUnbounded(item: EventQueryItem): boolean {
  return !item.tags?.length && !item.streams && !item.types
}

function countBranches(items: readonly EventQueryItem[]): number {
  return items.reduce((sum, { tags, streams, types }) => sum + (tags?.length ? 1 : (streams ?? types ?? []).length), 0)
}

function eventsWhere(column: 'type' | 'correlation_id', value: string, bind: Bind): string {
  const index = { type: 'headwater_events_type', correlation_id: 'headwater_events_correlation' }[column]
  return `SELECT position FROM headwater_events INDEXED BY ${index} WHERE ${column} = ${bind(value)} AND position > ?1 AND position <= ?2`
}

/** The index knows a stream's versions, not its positions: which version the first position comes behind is looked for from the end, where that mostly is. */
function eventsOf(stream: string, bind: Bind): string {
  const name = bind(stream)
  const index = `headwater_events INDEXED BY headwater_events_stream WHERE stream = ${name}`
  const before = `SELECT version FROM ${index} AND position <= ?1 ORDER BY version DESC LIMIT 1`
  return `SELECT position FROM ${index} AND version > coalesce((${before}), 0) AND position <= ?2`
}

function tagged(tag: string, bind: Bind): string {
  return `SELECT position FROM headwater_event_tags WHERE tag = ${bind(tag)} AND position > ?1 AND position <= ?2`
}

/** The filter as SQL on the row `e`. The plus signs keep SQLite from choosing an index: that has been done by then. */
function conditions({ types, categories, correlationId, query }: LogFilter, bind: Bind): string[] {
  const all: string[] = []
  if (types) all.push(isIn('type', types, bind))
  if (categories) all.push(anyOf(categories.map((category) => inCategory(category, bind))))
  if (correlationId !== undefined) all.push(`+e.correlation_id = ${bind(correlationId)}`)
  if (query) all.push(anyOf(query.items.map((item) => matches(item, bind))))
  return all
}

function matches({ types, streams, tags }: EventQueryItem, bind: Bind): string {
  const all = ['TRUE']
  if (types) all.push(isIn('type', types, bind))
  if (streams) all.push(isIn('stream', streams, bind))
  for (const tag of tags ?? [])
    all.push(`EXISTS (SELECT 1 FROM headwater_event_tags t WHERE t.tag = ${bind(tag)} AND t.position = e.position)`)
  return `(${all.join(' AND ')})`
}

function isIn(column: 'type' | 'stream', values: readonly string[], bind: Bind): string {
  return values.length === 0 ? 'FALSE' : `+e.${column} IN (${values.map(bind).join(', ')})`
}

/** `categoryOf` in SQL: the whole name, or the part before the first `:`. */
function inCategory(category: string, bind: Bind): string {
  if (category.includes(':')) return 'FALSE'
  return `(+e.stream = ${bind(category)} OR (+e.stream >= ${bind(`${category}:`)} AND +e.stream < ${bind(`${category};`)}))`
}

function anyOf(alternatives: readonly string[]): string {
  return alternatives.length === 0 ? 'FALSE' : `(${alternatives.join(' OR ')})`
}
