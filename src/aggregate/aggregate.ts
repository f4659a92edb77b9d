import { InvalidDefinitionError } from '../message/errors.ts'
import type { CommandMap, CommandOf, Reject, RejectionOf } from '../message/command.ts'
import type { EventMap, New, Recorded } from '../message/event.ts'
import type { Named } from '../message/schema.ts'
import type { EventQueryItem } from '../storage/write-set.ts'

/** What `decide` may return: events of this aggregate (one, several, none), or a rejection that the command declares. */
export type Decision<Event, Code extends string> = Event | readonly Event[] | Reject<Code>

export type Evolve<State, Events extends EventMap> = {
  readonly [Type in keyof Events]: (state: State, event: Recorded<Events[Type]>) => State
}
export type Decide<State, Events extends EventMap, Commands extends CommandMap> = {
  readonly [Type in keyof Commands]: (
    state: State,
    command: CommandOf<Commands[Type]>,
  ) => Decision<New<Events[keyof Events]>, RejectionOf<Commands[Type]>>
}

type KeysOf<T> = T extends readonly unknown[] ? never : T extends object ? keyof T : never
type Extra<State, Result> = 0 extends 1 & Result ? never : Exclude<KeysOf<Result>, KeysOf<State>>
/** TypeScript lets a returned object literal have extra fields; a misspelt field of the state must not pass. */
export type Exactly<State, Functions> = {
  readonly [Key in keyof Functions]: Functions[Key] extends (...args: never) => infer Result
    ? [Extra<State, Result>] extends [never]
      ? unknown
      : { readonly problem: `not a field of the result: ${Extra<State, Result> & string}` }
    : unknown
}

export interface AggregateWithState<Name extends string, State, Id extends string> {
  /** Every event of the aggregate, and how the state follows from it. Pure functions: nothing but state and event may matter. */
  evolve<const Events extends EventMap, Functions extends Evolve<State, Events>>(
    events: Events & Named<Events>,
    evolve: Functions & Exactly<State, Functions>,
  ): AggregateWithEvents<Name, State, Id, Events>
}
export interface AggregateWithEvents<Name extends string, State, Id extends string, Events extends EventMap> {
  /** Every command of the aggregate, and what it decides. Pure functions: they may be called again when somebody else was faster. */
  decide<const Commands extends CommandMap>(
    commands: Commands & Named<Commands> & Identified<Id, Commands>,
    decide: Decide<State, Events, Commands>,
  ): Aggregate<Name, State, Events, Commands>
}
type Identified<Id extends string, Commands> = {
  readonly [Type in keyof Commands]: CommandOf<Commands[Type]> extends { readonly data: { readonly [Field in Id]: string } }
    ? unknown
    : { readonly problem: `${Type & string} has no string field '${Id}' to find its aggregate by` }
}

export interface SnapshotPolicy {
  /** A snapshot is written when this many events have come since the last one. Default: 100. */
  readonly every: number
  /** Raise it when the state's shape changes: snapshots of another version are ignored and replaced. Default: 1. */
  readonly version: number
}

export interface AggregateStart<State, Id extends string> {
  /** The field of every command that holds the aggregate's id; several, when it takes more than one. */
  readonly id: Id | readonly Id[]
  readonly initialState: () => State
  /** Whether to keep snapshots. Default: every 100 events. They are written after the command was answered, and never needed. */
  readonly snapshot?: Partial<SnapshotPolicy> | false
  /**
   * For decisions that rest on more than one stream: which events the state is made of, by their tags or streams (their types are those of `evolve`).
   * A command is then accepted only if no such event came since, in any stream. There are no snapshots of such states.
   */
  readonly boundary?: (ids: { readonly [Field in Id]: string }) => readonly EventQueryItem[]
}

export interface Aggregate<Name extends string, State, Events extends EventMap, Commands extends CommandMap> {
  readonly kind: 'aggregate'
  readonly name: Name
  readonly ids: readonly string[]
  readonly initialState: () => State
  readonly snapshot: SnapshotPolicy | undefined
  readonly boundary: ((ids: never) => readonly EventQueryItem[]) | undefined
  readonly events: Events
  readonly commands: Commands
  readonly evolve: Evolve<State, Events>
  readonly decide: Decide<State, Events, Commands>
}

/** Some aggregate, its functions called with what the definitions have checked. */
export interface AnyAggregate {
  readonly kind: 'aggregate'
  readonly name: string
  readonly ids: readonly string[]
  readonly initialState: () => unknown
  readonly snapshot: SnapshotPolicy | undefined
  readonly boundary: ((ids: never) => readonly EventQueryItem[]) | undefined
  readonly events: EventMap
  readonly commands: CommandMap
  readonly evolve: Readonly<Record<string, (state: never, event: never) => unknown>>
  readonly decide: Readonly<Record<string, (state: never, command: never) => unknown>>
}
export type StateOf<A> = A extends { initialState: () => infer State } ? State : never

/** An aggregate: a state that follows from events, and commands that lead to more of them. The name is the category of its streams. */
export function defineAggregate<const Name extends string, State, const Id extends string>(
  name: Name,
  start: AggregateStart<State, Id>,
): AggregateWithState<Name, State, Id> {
  if (name === '' || name.includes(':')) throw new InvalidDefinitionError(`an aggregate's name may not be empty or hold a colon: '${name}'`)
  const { initialState, boundary } = start
  const ids = typeof start.id === 'string' ? [start.id] : [...start.id]
  const snapshot = start.snapshot === false || boundary ? undefined : { every: 100, version: 1, ...start.snapshot }
  return {
    evolve: (events, evolve) => ({
      decide: (commands, decide) => ({ kind: 'aggregate', name, ids, initialState, snapshot, boundary, events, evolve, commands, decide }),
    }),
  }
}
