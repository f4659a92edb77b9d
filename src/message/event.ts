import { InvalidDefinitionError } from './errors.ts'
import type { JsonOnly, Same, Schema } from './schema.ts'
import { checkDefinition, validate } from './schema.ts'

/** Free data beside the payload: who, from where, a trace. Values must survive JSON. */
export type Metadata = Readonly<Record<string, unknown>>

/** What a caller may say about an event beyond its payload; whatever is left out, or undefined, is filled in when it is appended. */
export interface EventOptions {
  /** Default: a new UUIDv7. An append that is repeated with the same ids returns the first result. */
  readonly id?: string | undefined
  /** Who says so: a URI reference. Default: the name of the service. An event's identity is its source and id together. */
  readonly source?: string | undefined
  /** When it happened. Default: now. */
  readonly time?: Date | undefined
  /** What started all this. Default: that of the message being handled, else the event's own id. */
  readonly correlationId?: string | undefined
  /** The message that led to this event. Default: the message being handled, else the event's own id. */
  readonly causationId?: string | undefined
  readonly metadata?: Metadata | undefined
  /** Names by which conditions and queries can find the event besides its stream: `course:c-7`. Added to those of the definition. */
  readonly tags?: readonly string[] | undefined
}

/** What `OrderPlaced({ … })` makes: a fact that is not stored yet. */
export interface NewEvent<Type extends string = string, Data = unknown> extends EventOptions {
  readonly type: Type
  readonly data: Data
  /** Default: 1. */
  readonly schemaVersion?: number | undefined
}

/** An event as handlers, projections and `evolve` see it: with its place in the log. */
export interface RecordedEvent<Type extends string = string, Data = unknown> {
  readonly type: Type
  readonly data: Data
  readonly id: string
  readonly source: string
  readonly schemaVersion: number
  readonly stream: string
  /** Place in the stream; the first event is version 1. */
  readonly version: number
  /** Place in the log of the whole store: dense, in commit order, from 1. */
  readonly position: number
  readonly time: Date
  readonly correlationId: string
  readonly causationId: string
  readonly metadata: Metadata
  readonly tags: readonly string[]
}

export interface EventBase<Type extends string, Data, Input> {
  /**
   * A fact of this type, its payload validated.
   * @throws InvalidMessageError
   */
  (data: Input, options?: EventOptions): NewEvent<Type, Data>
  readonly type: Type
  readonly schemaVersion: number
  readonly schema: Schema<Input, Data>
  readonly upcasters: readonly Upcaster[]
  /** The tags of an event, from its payload. Stands after the last `.version(…)`, whose payload it reads. */
  tags(of: (data: Data) => readonly string[]): this
  /** The next version of this event. `upcast` turns stored data of the version before into data of this one. */
  version<NextInput, NextData>(
    version: number,
    schema: Schema<NextInput, NextData> & JsonOnly<NextData>,
    upcast: (previous: Data) => NoInfer<NextInput>,
  ): DefinedEvent<Type, NextData, NextInput>
}
/** An event whose schema changes what it is given (a default, a transform): `Input` goes in, `Data` is stored. */
export interface TransformingEvent<Type extends string, Data, Input> extends EventBase<Type, Data, Input> {}
export interface EventDefinition<Type extends string, Data> extends EventBase<Type, Data, Data> {}
export type DefinedEvent<Type extends string, Data, Input> =
  Same<Data, Input> extends true ? EventDefinition<Type, Data> : TransformingEvent<Type, Data, Input>

/** One step from a version of an event to the next. */
export interface Upcaster {
  readonly from: number
  /** The schema of version `from`. */
  readonly schema: Schema<unknown, unknown>
  readonly upcast: (previous: never) => unknown
}

// oxlint-disable-next-line typescript/no-explicit-any -- "some event": the payload is both read and written, only any is wide enough
export type AnyEvent = EventBase<string, any, any>
export type EventMap = Readonly<Record<string, AnyEvent>>

/** The not-yet-stored event of a definition (of each, for a union). */
// oxlint-disable-next-line typescript/no-explicit-any -- the input type does not matter here
export type New<Definition> = Definition extends EventBase<infer Type, infer Data, any> ? NewEvent<Type, Data> : never
/** The stored event of a definition (of each, for a union). */
// oxlint-disable-next-line typescript/no-explicit-any -- the input type does not matter here
export type Recorded<Definition> = Definition extends EventBase<infer Type, infer Data, any> ? RecordedEvent<Type, Data> : never

/** A type of event, version 1. Chain `.version(2, …)` for the next one, and `.tags(…)` to make it findable by more than its stream. */
export function defineEvent<const Type extends string, Input, Data>(
  type: Type,
  schema: Schema<Input, Data> & JsonOnly<Data>,
): DefinedEvent<Type, Data, Input> {
  return eventDefinition<Type, Data, Input>({ type, schema, schemaVersion: 1, upcasters: [], tagsOf: undefined })
}

interface Parts<Type, Data, Input> {
  readonly type: Type
  readonly schema: Schema<Input, Data>
  readonly schemaVersion: number
  readonly upcasters: readonly Upcaster[]
  readonly tagsOf: ((data: Data) => readonly string[]) | undefined
}

function eventDefinition<Type extends string, Data, Input>(parts: Parts<Type, Data, Input>): DefinedEvent<Type, Data, Input> {
  const { type, schema, schemaVersion, upcasters, tagsOf } = parts
  checkDefinition(type, schema)
  const create = (input: Input, options?: EventOptions): NewEvent<Type, Data> => {
    const data = validate(schema, input, type)
    return Object.freeze({
      ...(options && withoutUndefined(options)),
      type,
      data,
      schemaVersion,
      ...(tagsOf && { tags: [...tagsOf(data), ...(options?.tags ?? [])] }),
    })
  }
  const definition = Object.assign(create, {
    type,
    schema,
    schemaVersion,
    upcasters,
    tags: (of: (data: Data) => readonly string[]) => eventDefinition({ ...parts, tagsOf: of }),
    version<NextInput, NextData>(version: number, next: Schema<NextInput, NextData>, upcast: (previous: Data) => NextInput) {
      if (version !== schemaVersion + 1)
        throw new InvalidDefinitionError(`${type}: after version ${schemaVersion} comes ${schemaVersion + 1}, not ${version}`)
      if (tagsOf)
        throw new InvalidDefinitionError(
          `${type}: .tags(…) reads the payload of version ${schemaVersion}; put it after .version(${version}, …)`,
        )
      return eventDefinition<Type, NextData, NextInput>({
        type,
        schema: next,
        schemaVersion: version,
        upcasters: [...upcasters, { from: schemaVersion, schema, upcast }],
        tagsOf: undefined,
      })
    },
  })
  return Object.freeze(definition) as EventBase<Type, Data, Input> as DefinedEvent<Type, Data, Input>
}

/** Whoever spreads an event over defaults must not lose them to a field that says nothing. */
function withoutUndefined(options: EventOptions): EventOptions {
  return Object.fromEntries(Object.entries(options).filter(([, value]) => value !== undefined))
}
