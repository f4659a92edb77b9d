export { documentsOf, InvalidQueryError } from '../storage/documents.ts'
export type { Comparable, Condition, DocumentPage, Documents, Find, Where } from '../storage/documents.ts'
