import type { Same, Schema } from './schema.ts'
import { checkDefinition } from './schema.ts'

export interface Command<Type extends string = string, Data = unknown> {
  readonly type: Type
  readonly data: Data
  readonly id: string
  readonly correlationId: string
  readonly causationId: string
}

export interface CommandBase<Type extends string, Data, Rejection extends string, Input> {
  readonly kind: 'command'
  readonly type: Type
  readonly schema: Schema<Input, Data>
  readonly rejections: readonly Rejection[]
}
/** A command whose schema changes what it is given (a default, a transform). */
export interface TransformingCommand<Type extends string, Data, Rejection extends string, Input> extends CommandBase<
  Type,
  Data,
  Rejection,
  Input
> {}
export interface CommandDefinition<Type extends string, Data, Rejection extends string = never> extends CommandBase<
  Type,
  Data,
  Rejection,
  Data
> {}
export type DefinedCommand<Type extends string, Data, Rejection extends string, Input> =
  Same<Data, Input> extends true ? CommandDefinition<Type, Data, Rejection> : TransformingCommand<Type, Data, Rejection, Input>

// oxlint-disable-next-line typescript/no-explicit-any -- "some command": the payload is both read and written, only any is wide enough
export type AnyCommand = CommandBase<string, any, string, any>
export type CommandMap = Readonly<Record<string, AnyCommand>>
export type CommandOf<Definition> =
  // oxlint-disable-next-line typescript/no-explicit-any -- rejections and input type do not matter here
  Definition extends CommandBase<infer Type, infer Data, any, any> ? Command<Type, Data> : never
// oxlint-disable-next-line typescript/no-explicit-any -- payloads do not matter here
export type RejectionOf<Definition> = Definition extends CommandBase<any, any, infer Code, any> ? Code : never

/** A request in the imperative, with exactly one handler. `rejections` are the codes with which that handler may refuse it. */
export function defineCommand<const Type extends string, Input, Data, const Rejection extends string = never>(
  type: Type,
  schema: Schema<Input, Data>,
  options?: { readonly rejections?: readonly Rejection[] },
): DefinedCommand<Type, Data, Rejection, Input> {
  checkDefinition(type, schema)
  const definition: CommandBase<Type, Data, Rejection, Input> = { kind: 'command', type, schema, rejections: options?.rejections ?? [] }
  return Object.freeze(definition) as DefinedCommand<Type, Data, Rejection, Input>
}

/** What `decide` returns to refuse a command. */
export interface Reject<Code extends string = string> {
  readonly rejected: Code
  readonly message: string
}

export function reject<const Code extends string>(code: Code, message?: string): Reject<Code> {
  return { rejected: code, message: message ?? code }
}

export function isReject(decision: object | undefined | void): decision is Reject {
  return decision !== undefined && 'rejected' in decision
}
