/** The names that stand for one store in its database: everything of it is in one schema. */
export interface Names {
  /** As the user wrote it. */
  readonly schemaName: string
  /** The same, quoted. It holds neither quotes nor `$` nor `%`, and fits into whatever SQL is made of. */
  readonly schema: string
  /** Of the advisory lock under which positions are given. */
  readonly orderLock: bigint
  /** Of the advisory lock under which the schema is migrated. */
  readonly migrationLock: bigint
  /** For NOTIFY. */
  readonly channel: string
}
