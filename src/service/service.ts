import type { AnyAggregate } from '../aggregate/aggregate.ts'
import type { AnyCommandHandler } from '../aggregate/command-handler.ts'
import { InvalidDefinitionError } from '../message/errors.ts'
import type { AnyCommand } from '../message/command.ts'
import type { AnyEvent } from '../message/event.ts'
import type { AnyHandler } from '../processing/handler.ts'
import type { AnyProjection } from '../projection/projection.ts'
import type { AnyQuery } from '../projection/query.ts'
import type { Topic } from '../transport/topic.ts'
import type { SqlProjection } from '../projection/sql-projection.ts'

export interface ServiceParts {
  readonly aggregates: readonly AnyAggregate[]
  readonly commandHandlers: readonly AnyCommandHandler[]
  readonly handlers: readonly AnyHandler[]
  readonly projections: readonly AnyProjection[]
  readonly sqlProjections: readonly SqlProjection[]
  readonly queries: readonly AnyQuery[]
  readonly publishes: readonly Topic[]
  readonly subscribes: readonly Topic[]
  readonly accepts: readonly AnyCommand[]
  readonly sendsTo: readonly string[]
}

/** What one service is made of. `Handled` and `Answered` are the names of the commands and queries that it knows. */
export interface Service<Name extends string, Handled extends string, Answered extends string> {
  readonly kind: 'service'
  readonly name: Name
  readonly parts: ServiceParts
  readonly '~handles'?: { readonly commands: Handled; readonly queries: Answered }
}

type CommandTypes<A> = A extends { readonly commands: infer Commands } ? keyof Commands & string : never

/**
 * A service: its parts, listed. Its name is the `source` of its events.
 * @throws InvalidDefinitionError when a command has two handlers, two parts have the same name, a query reads a projection that is not listed, two
 * parts understand the same event differently, or a topic that is sequenced lacks events of a stream
 */
export function defineService<
  const Name extends string,
  Aggregate extends AnyAggregate = never,
  Commands extends AnyCommandHandler = never,
  Query extends AnyQuery = never,
>(
  name: Name,
  parts: {
    readonly aggregates?: readonly Aggregate[]
    readonly commandHandlers?: readonly Commands[]
    readonly handlers?: readonly AnyHandler[]
    readonly projections?: readonly AnyProjection[]
    readonly sqlProjections?: readonly SqlProjection[]
    readonly queries?: readonly Query[]
    /** The topics on which its events are published, where it is started with a transport. */
    readonly publishes?: readonly Topic[]
    /** The topics from which its handlers get the events of other services. Without a transport they get them from the log that all share. */
    readonly subscribes?: readonly Topic[]
    /** The commands that it carries out for other services. */
    readonly accepts?: readonly AnyCommand[]
    /** The services to which it sends commands. */
    readonly sendsTo?: readonly string[]
  },
): Service<Name, CommandTypes<Aggregate> | Commands['command']['type'], Query['name']> {
  const { aggregates = [], commandHandlers = [], handlers = [], projections = [], sqlProjections = [], queries = [] } = parts
  const { publishes = [], subscribes = [], accepts = [], sendsTo = [] } = parts
  const all: ServiceParts = {
    aggregates,
    commandHandlers,
    handlers,
    projections,
    sqlProjections,
    queries,
    publishes,
    subscribes,
    accepts,
    sendsTo,
  }
  check(name, all)
  return { kind: 'service', name, parts: all }
}

function check(service: string, parts: ServiceParts): void {
  const { aggregates, commandHandlers, handlers, projections, sqlProjections, queries, publishes, subscribes } = parts
  const names = (list: readonly { readonly name: string }[]): readonly string[] => list.map(({ name }) => name)
  unique(service, 'aggregates are named', names(aggregates))
  unique(service, 'handlers are named', names(handlers))
  unique(service, 'projections are named', names([...projections, ...sqlProjections]))
  unique(service, 'queries are named', names(queries))
  unique(service, 'topics to publish on are named', names(publishes))
  unique(service, 'topics to subscribe to are named', names(subscribes))
  unique(
    service,
    'topics to subscribe to have the event',
    subscribes.flatMap(({ events }) => Object.keys(events)),
  )
  unique(service, 'handlers are there for the command', [
    ...aggregates.flatMap(({ commands }) => Object.keys(commands)),
    ...commandHandlers.map(({ command }) => command.type as string),
  ])
  for (const { name, from } of queries)
    if (!projections.some((projection) => projection.name === from.name))
      throw new InvalidDefinitionError(`${service}: the query ${name} reads the projection ${from.name}, which is not listed`)
  const handled = new Set([
    ...aggregates.flatMap(({ commands }) => Object.keys(commands)),
    ...commandHandlers.map(({ command }) => command.type as string),
  ])
  for (const { type } of parts.accepts)
    if (!handled.has(type)) throw new InvalidDefinitionError(`${service}: it accepts ${type}, which nothing in it handles`)
  for (const topic of publishes)
    if (topic.sequenced) {
      for (const { name, events } of parts.aggregates) requireAllOrNone(service, topic, `the aggregate ${name}`, Object.values(events))
      for (const { name, emits } of handlers) requireAllOrNone(service, topic, `the handler ${name}`, emits)
    }
  const definitions = new Map<string, AnyEvent>()
  for (const definition of eventsOf(parts)) {
    const known = definitions.get(definition.type)
    if (known && (known.schemaVersion !== definition.schemaVersion || known.schema !== definition.schema))
      throw new InvalidDefinitionError(
        `${service}: ${definition.type} is defined twice, as version ${known.schemaVersion} and ${definition.schemaVersion}`,
      )
    definitions.set(definition.type, definition)
  }
}

/** What a topic leaves out of a stream would be missed by all who read it by the numbers. */
function requireAllOrNone(service: string, { events, name }: Topic, whose: string, all: readonly AnyEvent[]): void {
  const missing = all.map(({ type }) => type).filter((type) => !Object.hasOwn(events, type))
  if (missing.length > 0 && missing.length < all.length)
    throw new InvalidDefinitionError(
      `${service}: the topic ${name} is sequenced, and has some events of ${whose} but not ${missing.join(', ')}, whose numbers would be missed`,
    )
}

function* eventsOf({
  aggregates,
  commandHandlers,
  handlers,
  projections,
  sqlProjections,
  publishes,
  subscribes,
}: ServiceParts): Iterable<AnyEvent> {
  for (const { events } of aggregates) yield* Object.values(events)
  for (const { emits } of commandHandlers) yield* emits
  for (const { on, emits } of handlers) yield* [...on, ...emits]
  for (const { events } of projections) yield* Object.values(events)
  for (const { on } of sqlProjections) yield* on
  for (const { events } of [...publishes, ...subscribes]) yield* Object.values(events)
}

function unique(service: string, what: string, names: readonly string[]): void {
  const seen = new Set<string>()
  for (const name of names) {
    if (seen.has(name)) throw new InvalidDefinitionError(`${service}: two ${what} ${name}`)
    seen.add(name)
  }
}
