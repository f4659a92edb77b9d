import type { EncodedFind, FoundDocument } from '../../storage/document-port.ts'
import type { DocumentWrite } from '../../storage/write-set.ts'
import { compareBytes } from './names.ts'

export type StoredDocument = Pick<DocumentWrite, 'key' | 'fields' | 'words'> & { readonly document: string }

/** What a find must give, worked out one document after the other. */
export function findIn(documents: readonly StoredDocument[], find: EncodedFind): readonly FoundDocument[] {
  const { after } = find
  return documents
    .filter((one) => find.where.every((condition) => holds(one.fields[condition.field]!, condition)))
    .filter((one) => (find.words ?? []).every((word) => one.words?.split(' ').some((there) => there.startsWith(word))))
    .map((one) => ({ key: one.key, document: one.document, sortValues: find.sort.map(({ field }) => one.fields[field]!) }))
    .toSorted((left, right) => compare(left, right, find.sort))
    .filter((one) => after === undefined || compare(one, after, find.sort) > 0)
    .slice(0, find.limit)
}

function holds(value: string, condition: EncodedFind['where'][number]): boolean {
  if ('in' in condition) return condition.in.includes(value)
  if (condition.from !== undefined && compareBytes(value, condition.from) < 0) return false
  return condition.below === undefined || compareBytes(value, condition.below) < 0
}

type Place = Pick<FoundDocument, 'key' | 'sortValues'>

function compare(left: Place, right: Place, sort: EncodedFind['sort']): number {
  for (const [index, { descending }] of sort.entries()) {
    const order = compareBytes(left.sortValues[index]!, right.sortValues[index]!)
    if (order !== 0) return descending ? -order : order
  }
  return compareBytes(left.key, right.key)
}
