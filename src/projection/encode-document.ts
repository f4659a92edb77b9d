import type { CollectionSpec, LoadedDocument } from '../storage/document-port.ts'
import type { DocumentWrite } from '../storage/write-set.ts'
import { encodeField, wordsOf } from '../storage/field.ts'
import type { AnyProjection } from './projection.ts'
import { withoutVersion } from './versioned.ts'

/** The document as it is written, with what can be found and searched in it, in the collection as it was made. Null removes it. */
export function encodeDocument(
  projection: AnyProjection,
  collection: CollectionSpec,
  key: string,
  document: unknown,
): Omit<DocumentWrite, 'collection'> {
  if (document !== null) return encodeExisting(projection, collection, key, document)
  return { key, document: null, fields: collection.indexed.map(() => ''), words: null }
}

export function encodeExisting(projection: AnyProjection, collection: CollectionSpec, key: string, document: unknown): LoadedDocument {
  const values = (projection.inline ? withoutVersion(document) : document) as Readonly<Record<string, unknown>>
  return {
    key,
    document: JSON.stringify(document),
    fields: collection.indexed.map((field) => encodeField(values[field])),
    words: collection.searchable ? wordsOf(...projection.searched.map((field) => values[field])).join(' ') : null,
  }
}
