import type { Exactly } from '../aggregate/aggregate.ts'
import { InvalidDefinitionError } from '../message/errors.ts'
import type { EventMap, Recorded, RecordedEvent } from '../message/event.ts'
import type { Named } from '../message/schema.ts'
import type { Comparable } from '../storage/field.ts'

export type Fold<Document, Events extends EventMap> = {
  /** The document after the event; `null` removes it. */
  readonly [Type in keyof Events]: (document: Document, event: Recorded<Events[Type]>) => Document | null
}

type IndexableField<Document> = {
  [Field in keyof Document & string]: Document[Field] extends Comparable | undefined ? Field : never
}[keyof Document & string]
type TextField<Document> = {
  [Field in keyof Document & string]: Document[Field] extends string | readonly string[] | null | undefined ? Field : never
}[keyof Document & string]

/** A read model of typed documents: what its events make of them, one document a key. */
export interface Projection<
  Name extends string,
  Document,
  Events extends EventMap,
  Indexed extends keyof Document = never,
  Searchable extends boolean = boolean,
> {
  readonly kind: 'projection'
  readonly name: Name
  readonly version: number
  readonly inline: boolean
  readonly events: Events
  readonly indexed: readonly (Indexed & string)[]
  readonly searched: readonly string[]
  readonly initial: (key: string) => Document
  readonly folds: Readonly<Record<string, FoldOfType>>
  readonly '~searchable'?: Searchable
}

/** How one type of event changes documents. */
export interface FoldOfType {
  readonly key: (event: never) => string | readonly string[]
  readonly fold: (document: never, event: never) => unknown
}

/** Some projection, its functions called with what the definitions have checked. */
export interface AnyProjection {
  readonly kind: 'projection'
  readonly name: string
  readonly version: number
  readonly inline: boolean
  readonly events: EventMap
  readonly indexed: readonly string[]
  readonly searched: readonly string[]
  readonly initial: (key: string) => unknown
  readonly folds: Readonly<Record<string, FoldOfType>>
}

export interface ProjectionBuilder<
  Name extends string,
  Document,
  Events extends EventMap,
  Indexed extends keyof Document = never,
  Searchable extends boolean = false,
> extends Projection<Name, Document, Events, Indexed, Searchable> {
  /** The fields that `find` may filter and sort by. */
  index<const Field extends IndexableField<Document>>(
    ...fields: readonly Field[]
  ): ProjectionBuilder<Name, Document, Events, Field, Searchable>
  /** The fields whose words `find({ search })` looks for. */
  search<const Field extends TextField<Document>>(...fields: readonly Field[]): ProjectionBuilder<Name, Document, Events, Indexed, true>
  /** Events, the key (or keys) of the documents that they change, and the change of each. Call it again for events with another key. */
  fold<const More extends EventMap, Functions extends Fold<Document, More>>(
    events: More & Named<More>,
    key: (event: Recorded<More[keyof More]>) => string | readonly string[],
    fold: Functions & Exactly<Document, Functions>,
  ): ProjectionBuilder<Name, Document, Events & More, Indexed, Searchable>
}

export interface ProjectionOptions {
  /** Raise it when the documents must be built anew: the new ones are built beside the old, which are read until the new are complete. Default: 1. */
  readonly version?: number
  /**
   * Whether the documents change in the transaction of the append itself, so that whoever reads them sees every acknowledged event. Such a projection
   * keeps one document a stream, under the id of the stream. Default: false, a moment later.
   */
  readonly inline?: boolean
}

/** A read model. `initial` is the document of a key before its first event. Chain `.index`, `.search` and `.fold`. */
export function defineProjection<const Name extends string, Document extends object>(
  name: Name,
  initial: (key: string) => Document,
  options: ProjectionOptions = {},
): ProjectionBuilder<Name, Document, {}> {
  const { version = 1, inline = false } = options
  if (!/^[\w.-]+$/.test(name))
    throw new InvalidDefinitionError(`a projection's name is made of letters, digits, '.', '_' and '-': '${name}'`)
  if (!Number.isSafeInteger(version) || version < 1)
    throw new InvalidDefinitionError(`${name}: the version must be a whole number from 1, not ${version}`)
  return build({
    kind: 'projection',
    name,
    version,
    inline,
    initial,
    indexed: [],
    searched: [],
    events: {},
    folds: {},
  }) as ProjectionBuilder<Name, Document, {}>
}

function build(projection: AnyProjection): unknown {
  return {
    ...projection,
    index: (...fields: readonly string[]) => build({ ...projection, indexed: [...new Set([...projection.indexed, ...fields])] }),
    search: (...fields: readonly string[]) => build({ ...projection, searched: [...new Set([...projection.searched, ...fields])] }),
    fold(more: EventMap, key: FoldOfType['key'], functions: Readonly<Record<string, FoldOfType['fold']>>) {
      const folds: Record<string, FoldOfType> = { ...projection.folds }
      for (const [type, fold] of Object.entries(functions)) {
        if (Object.hasOwn(folds, type))
          throw new InvalidDefinitionError(`${projection.name}: ${type} is folded twice; return several keys instead`)
        folds[type] = { key, fold }
      }
      return build({ ...projection, events: { ...projection.events, ...more }, folds })
    },
  }
}

/**
 * The keys of the documents that the event changes.
 * @throws InvalidDefinitionError when the projection returns something else for it, as where the payload lacks the field that the key is taken from
 */
export function keysOf(projection: AnyProjection, event: RecordedEvent): readonly string[] {
  const keys: unknown = projection.folds[event.type]!.key(event as never)
  if (typeof keys === 'string') return [keys]
  if (Array.isArray(keys) && keys.every((key) => typeof key === 'string')) return keys
  throw new InvalidDefinitionError(`${projection.name}: the key of ${event.type} must be a string or an array of strings`)
}

/** The document after the event, or null when it is removed. */
export function foldOne(projection: AnyProjection, key: string, document: unknown, event: RecordedEvent): unknown {
  return projection.folds[event.type]!.fold((document ?? projection.initial(key)) as never, event as never)
}
