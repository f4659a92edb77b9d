import type { Aggregate, Decision } from '../aggregate/aggregate.ts'
import type { CommandMap, CommandOf, RejectionOf } from '../message/command.ts'
import type { EventMap, New } from '../message/event.ts'
import { validate } from '../message/schema.ts'

export interface When<Events extends EventMap, Commands extends CommandMap> {
  /** What the command decides after that history. Its payload is validated, as it would be for real. */
  when<Type extends keyof Commands & string>(
    command: Type,
    data: CommandOf<Commands[Type]>['data'],
  ): Decision<New<Events[keyof Events]>, RejectionOf<Commands[Type]>>
}

/**
 * given / when / then without a store: `expect(given(order, [OrderPlaced({ … })]).when('PayOrder', { … })).toEqual([OrderPaid({ … })])`.
 */
export function given<State, Events extends EventMap, Commands extends CommandMap>(
  aggregate: Aggregate<string, State, Events, Commands>,
  history: readonly New<Events[keyof Events]>[] = [],
): When<Events, Commands> {
  const state = stateAfter(aggregate, history)
  return {
    when(type, data) {
      const command = {
        type,
        data: validate(aggregate.commands[type]!.schema, data, type),
        id: 'given-command',
        correlationId: 'given-command',
        causationId: 'given-command',
      }
      return aggregate.decide[type](state, command as never)
    },
  }
}

/** The aggregate's state after these events, as if they had been stored one second after another from 2026 on. */
export function stateAfter<State, Events extends EventMap, Commands extends CommandMap>(
  aggregate: Aggregate<string, State, Events, Commands>,
  history: readonly New<Events[keyof Events]>[],
): State {
  let state = aggregate.initialState()
  for (const [index, event] of history.entries()) {
    const id = event.id ?? `given-${index + 1}`
    const recorded = {
      source: 'given',
      schemaVersion: 1,
      metadata: {},
      tags: [],
      correlationId: id,
      causationId: id,
      time: new Date(Date.UTC(2026, 0, 1, 0, 0, index)),
      ...event,
      id,
      stream: `${aggregate.name}:given`,
      version: index + 1,
      position: index + 1,
    }
    state = aggregate.evolve[event.type as keyof Events](state, recorded as never)
  }
  return state
}
