import type { StandardSchemaV1 } from '@standard-schema/spec'
import { InvalidDefinitionError, InvalidMessageError } from './errors.ts'

/** Any Standard Schema: zod, valibot, arktype, or `jsonSchema<T>(…)` for plain JSON Schema and TypeBox. */
export type Schema<Input, Output = Input> = StandardSchemaV1<Input, Output>

/**
 * Refuses at definition what the types refuse already, for definitions that no compiler has seen.
 * @throws InvalidDefinitionError
 */
export function checkDefinition<Input, Output>(type: string, schema: Schema<Input, Output>): void {
  if (typeof type !== 'string' || type === '') throw new InvalidDefinitionError('the type of a message must be a text that is not empty')
  if (typeof schema?.['~standard']?.validate !== 'function')
    throw new InvalidDefinitionError(`${type}: the schema is no Standard Schema; JSON Schema and TypeBox need jsonSchema(…) around them`)
}

/**
 * The value as the schema's output.
 * @throws InvalidMessageError that names the path of each problem; also for schemas that validate asynchronously, since a payload is
 * checked on the caller's stack.
 */
export function validate<Input, Output>(schema: Schema<Input, Output>, value: unknown, what: string): Output {
  const result = schema['~standard'].validate(value)
  if (result instanceof Promise) {
    result.catch(() => undefined) // Nobody waits for it; what it rejects with must not end the process.
    throw new InvalidMessageError(what, [{ path: '', message: 'asynchronous schemas are not supported' }])
  }
  if (!result.issues) return result.value
  throw new InvalidMessageError(
    what,
    result.issues.map((issue) => ({
      // Not `path.map`: the path may be a subclass of Array that makes another kind of thing of it, and ArkType's is.
      path: Array.from(issue.path ?? [], (part) => String(typeof part === 'object' ? part.key : part)).join('.'),
      message: issue.message,
    })),
  )
}

type Primitive = string | number | boolean | null | undefined
type ChangedByJson =
  | bigint
  | symbol
  | Date
  | ((...args: never) => unknown)
  | ReadonlyMap<unknown, unknown>
  | ReadonlySet<unknown>
  | ArrayBufferView
  | { toJSON(...args: never): unknown }
/**
 * The path of what JSON would change in `T` (a Date, a bigint, a Map …); `never` when all is well. `Above` are the objects on the way down, each
 * as a function so that only the same type is taken for it: a type that contains itself is looked into once.
 */
export type NotJson<T, Path extends string = 'data', Above = never> = 0 extends 1 & T
  ? never
  : T extends Primitive
    ? never
    : T extends ChangedByJson
      ? Path
      : ((same: T) => T) extends Above
        ? never
        : T extends readonly (infer Item)[]
          ? NotJson<Item, `${Path}[]`, Above | ((same: T) => T)>
          : T extends object
            ? { [K in keyof T & string]: NotJson<T[K], `${Path}.${K}`, Above | ((same: T) => T)> }[keyof T & string]
            : never

/** Refuses, at compile time, schemas whose output does not survive storage as JSON. */
export type JsonOnly<Data> = [NotJson<Data>] extends [never] ? unknown : { readonly 'not JSON, would come back changed': NotJson<Data> }

export type Same<A, B> = (<T>() => T extends A ? 1 : 2) extends <T>() => T extends B ? 1 : 2 ? true : false

/** Keys must be the messages' own names: `{ OrderPlaced }`, never `{ placed: OrderPlaced }`. */
export type Named<Definitions> = {
  readonly [Key in keyof Definitions]: Definitions[Key] extends { readonly type: infer Type extends string }
    ? Key extends Type
      ? unknown
      : { readonly problem: `the key must be the name of the message: ${Type}` }
    : unknown
}
