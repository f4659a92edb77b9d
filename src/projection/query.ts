import type { EventMap } from '../message/event.ts'
import type { Schema } from '../message/schema.ts'
import type { Documents } from '../storage/documents.ts'
import type { AnyProjection, Projection } from './projection.ts'

export interface QueryDefinition<Name extends string, Params, Result> {
  readonly kind: 'query'
  readonly name: Name
  readonly params: Schema<Params, unknown>
  readonly from: AnyProjection
  answer(params: never, documents: never): Promise<Result>
}
export interface AnyQuery {
  readonly kind: 'query'
  readonly name: string
  readonly params: Schema<unknown, unknown>
  readonly from: AnyProjection
  answer(params: never, documents: never): Promise<unknown>
}

/** A question to a read model: its parameters, and how they are answered from the documents. It changes nothing. */
export function defineQuery<
  const Name extends string,
  Params,
  Parsed,
  Document,
  Events extends EventMap,
  Indexed extends keyof Document,
  Searchable extends boolean,
  Result,
>(
  name: Name,
  params: Schema<Params, Parsed>,
  from: Projection<string, Document, Events, Indexed, Searchable>,
  answer: (params: Parsed, documents: Documents<Document, Indexed, Searchable>) => Promise<Result>,
): QueryDefinition<Name, Params, Result> {
  return { kind: 'query', name, params, from, answer }
}
