import { HeadwaterError } from '../message/errors.ts'
import type { CollectionSpec, DocumentStore, EncodedFind, FoundDocument } from './document-port.ts'
import type { Comparable } from './field.ts'
import { encodeCondition, wordsOf } from './field.ts'

/** Equal to a value, to one of several, or within a range (`from` is included, `below` is not). */
export type Condition<T> = [T] extends [Comparable] ? T | { readonly in: readonly T[] } | { readonly from?: T; readonly below?: T } : never
export type Where<Document> = {
  readonly [Field in keyof Document as Document[Field] extends Comparable | undefined ? Field : never]?: Condition<
    Document[Field] & Comparable
  >
}

export interface Find<Document, Indexed extends keyof Document, Searchable extends boolean> {
  /** All of these must hold. */
  readonly where?: Pick<Where<Document>, Indexed & keyof Where<Document>>
  /** Documents that hold words which begin with each of these. */
  readonly search?: Searchable extends true ? string : never
  /** In the order of the fields given here; documents that are equal in all of them come in the order of their keys. Default: by key. */
  readonly sort?: { readonly [Field in Indexed]?: 'ascending' | 'descending' }
  /** Default: 100; at most 10,000. */
  readonly limit?: number
  /** `next` of the page before. */
  readonly after?: string
}

export interface DocumentPage<Document> {
  readonly documents: readonly Document[]
  /** Where the next page begins; undefined when this is the last one. */
  readonly next: string | undefined
}

/** The documents of one read model, as they are at the time of each call. */
export interface Documents<Document, Indexed extends keyof Document, Searchable extends boolean = boolean> {
  get(key: string): Promise<Document | undefined>
  /** Those that exist, in the order of the keys given. */
  getMany(keys: readonly string[]): Promise<readonly Document[]>
  find(query?: Find<Document, Indexed, Searchable>): Promise<readonly Document[]>
  /** The same, page by page: documents that change meanwhile may move, but none that stays where it is comes twice or is left out. */
  page(query?: Find<Document, Indexed, Searchable>): Promise<DocumentPage<Document>>
  count(): Promise<number>
}

/** A query names a field that is not indexed, a limit out of bounds, or a page of another query. */
export class InvalidQueryError extends HeadwaterError {
  readonly code = 'invalid-query'
}

interface AnyFind {
  readonly where?: Readonly<Record<string, unknown>>
  readonly search?: string
  readonly sort?: Readonly<Record<string, 'ascending' | 'descending' | undefined>>
  readonly limit?: number
  readonly after?: string
}

/**
 * Reads a collection; `collection` tells which one at the time of each call, since a rebuilt one may take its place. `parse` makes documents of their
 * JSON texts.
 */
export function documentsOf(
  store: DocumentStore,
  collection: () => Promise<CollectionSpec>,
  parse: (text: string) => unknown,
): Documents<unknown, never> {
  async function page(query: AnyFind = {}): Promise<DocumentPage<unknown>> {
    const spec = await collection()
    const find = encodeFind(spec, query)
    // One more than asked for tells whether there is a next page.
    const found = await store.find(spec.id, { ...find, limit: find.limit + 1 })
    const shown = found.slice(0, find.limit)
    return {
      documents: shown.map(({ document }) => parse(document)),
      next: found.length > find.limit ? tokenOf(shown.at(-1)!) : undefined,
    }
  }
  return {
    async get(key) {
      const text = (await store.get((await collection()).id, [key])).get(key)
      return text === undefined ? undefined : parse(text)
    },
    async getMany(keys) {
      const texts = await store.get((await collection()).id, keys)
      return keys.flatMap((key) => (texts.has(key) ? [parse(texts.get(key)!)] : []))
    },
    page,
    find: async (query) => (await page(query)).documents,
    count: async () => store.count((await collection()).id),
  }
}

function encodeFind(
  { projection, indexed, searchable }: CollectionSpec,
  { where = {}, search, sort = {}, limit = 100, after }: AnyFind,
): EncodedFind {
  const fieldOf = (name: string): number => {
    const field = indexed.indexOf(name)
    if (field < 0) throw new InvalidQueryError(`${projection} has no index on '${name}'; it has: ${indexed.join(', ') || 'none'}`)
    return field
  }
  if (!Number.isSafeInteger(limit) || limit < 1 || limit > 10_000)
    throw new InvalidQueryError(`limit must be a whole number from 1 to 10,000, not ${limit}`)
  if (search !== undefined && !searchable) throw new InvalidQueryError(`${projection} declares no fields to search`)
  const sorting = Object.entries(sort).flatMap(([name, order]) =>
    order ? [{ field: fieldOf(name), descending: order === 'descending' }] : [],
  )
  return {
    where: Object.entries(where).flatMap(([name, condition]) =>
      condition === undefined ? [] : [encodeCondition(fieldOf(name), condition)],
    ),
    sort: sorting,
    limit,
    ...(search !== undefined && { words: wordsOf(search) }),
    ...(after !== undefined && { after: placeOf(after, sorting.length) }),
  }
}

function tokenOf({ sortValues, key }: FoundDocument): string {
  return Buffer.from(JSON.stringify([key, ...sortValues])).toString('base64url')
}

function placeOf(token: string, sortFields: number): { readonly sortValues: readonly string[]; readonly key: string } {
  let place: unknown
  try {
    place = JSON.parse(Buffer.from(token, 'base64url').toString())
  } catch {
    place = undefined
  }
  if (!Array.isArray(place) || place.length !== sortFields + 1 || !place.every((part) => typeof part === 'string'))
    throw new InvalidQueryError('`after` is not the `next` of a page with the same sort')
  const [key = '', ...sortValues] = place as readonly string[]
  return { key, sortValues }
}
