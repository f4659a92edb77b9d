import type { LogFilter, LogRange } from '../port.ts'
import type { EventQuery, EventQueryItem } from '../write-set.ts'
import type { Value } from './pool.ts'
import { eventColumnsOf } from './rows.ts'
import { Values } from './values.ts'

/** With more types than these, a processor reads most of the log anyway, and scans it. */
const maxTypeBranches = 16

/** Whether the filter excludes everything: an alternative without choices is never met. */
export function selectsNothing({ types, categories, query }: LogFilter): boolean {
  return types?.length === 0 || categories?.some(isCategory) === false || query?.items.length === 0
}

/** A category ends where the first colon stands, so that none holds one. */
export function isCategory(name: string): boolean {
  return !name.includes(':')
}

/**
 * The statement for a page of the log. Every form of it walks indexes in log order and stops at the limit, so that what it costs depends on
 * what it returns rather than on the size of the log; only a filter on categories alone has to look at each event. The planner is led to
 * that by the form of the statement, not by statistics, which a new table does not have. (An index by category would make
 * appends in batches 9 % slower and the log 5 % larger, for what processors, which name types, do not use.)
 */
export function logQuery(schema: string, range: LogRange): { readonly text: string; readonly values: readonly Value[] } {
  const values = new Values()
  const events = `${schema}.events`
  const limit = `LIMIT ${values.number(range.limit)}`
  const bounds = [`e.position > ${values.number(range.after)}`]
  if (range.upTo !== undefined) bounds.push(`e.position <= ${values.number(range.upTo)}`)
  const { types, categories, correlationId, query } = range
  if (categories)
    bounds.push(
      `(${categories
        .filter(isCategory)
        .map((category) => isIn(category, values))
        .join(' OR ')})`,
    )
  if (correlationId !== undefined) bounds.push(`e.correlation_id = ${values.text(correlationId)}`)

  if (query) {
    if (types) bounds.push(`e.type = ANY (${values.texts(types)})`)
    return {
      text: `SELECT ${eventColumnsOf('e')} FROM (${unionOf(schema, query, bounds, limit, values)}) AS found (position) JOIN ${events} e USING (position) ORDER BY position ${limit}`,
      values: values.all,
    }
  }
  // The correlation has an index of its own, which is narrower than that of any type.
  if (types && types.length <= maxTypeBranches && correlationId === undefined) {
    const branches = unique(types).map((type) => {
      const where = [`e.type = ${values.text(type)}`, ...bounds].join(' AND ')
      return `(SELECT ${eventColumnsOf('e')} FROM ${events} e WHERE ${where} ORDER BY e.position ${limit})`
    })
    return {
      text: `SELECT * FROM (${branches.join(' UNION ALL ')}) AS merged ORDER BY position ${limit}`,
      values: values.all,
    }
  }
  if (types) bounds.push(`e.type = ANY (${values.texts(types)})`)
  return {
    text: `SELECT ${eventColumnsOf('e')} FROM ${events} e WHERE ${bounds.join(' AND ')} ORDER BY e.position ${limit}`,
    values: values.all,
  }
}

/** The first positions that any item matches, each found by the index that the item leads with, and each once. */
function unionOf(schema: string, { items }: EventQuery, bounds: readonly string[], limit: string, values: Values): string {
  return items
    .map((item) => `(SELECT e.position FROM ${sourceOf(schema, item, bounds, limit, values)} ORDER BY e.position ${limit})`)
    .join(' UNION ')
}

function sourceOf(
  schema: string,
  { types, streams, tags }: EventQueryItem,
  bounds: readonly string[],
  limit: string,
  values: Values,
): string {
  const events = `${schema}.events`
  const [first, ...others] = tags ?? []
  if (first !== undefined) {
    const where = [...bounds, ...others.map((tag) => hasTag(schema, tag, values))]
    if (types) where.push(`e.type = ANY (${values.texts(types)})`)
    if (streams) where.push(`e.stream = ANY (${values.texts(streams)})`)
    return `${schema}.event_tags t JOIN ${events} e USING (position) WHERE t.tag = ${values.text(first)} AND ${where.join(' AND ')}`
  }
  // OFFSET 0 keeps the planner from scanning the whole log in order for the events of one stream.
  if (streams) {
    const where = types ? [...bounds, `e.type = ANY (${values.texts(types)})`] : bounds
    return `unnest(${values.texts(unique(streams))}) AS s (stream) CROSS JOIN LATERAL
      (SELECT e.position FROM ${events} e WHERE e.stream = s.stream AND ${where.join(' AND ')} OFFSET 0) AS e`
  }
  if (types)
    return `unnest(${values.texts(unique(types))}) AS t (type) CROSS JOIN LATERAL
      (SELECT e.position FROM ${events} e WHERE e.type = t.type AND ${bounds.join(' AND ')} ORDER BY e.position ${limit}) AS e`
  return `${events} e WHERE ${bounds.join(' AND ')}`
}

function isIn(category: string, values: Values): string {
  return `starts_with(e.stream, ${values.text(`${category}:`)}) OR e.stream = ${values.text(category)}`
}

function hasTag(schema: string, tag: string, values: Values): string {
  return `(SELECT true FROM ${schema}.event_tags o WHERE o.tag = ${values.text(tag)} AND o.position = e.position)`
}

/** What is looked up one by one must be looked up once. */
function unique(names: readonly string[]): readonly string[] {
  return [...new Set(names)]
}
