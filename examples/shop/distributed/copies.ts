import type { AnyEvent, Handler } from 'headwater'
import { defineHandler } from 'headwater'

/**
 * Puts events of other services into the own log, with their ids, sources and times, so that read models can be made of them as if they had always been
 * there, and made anew when their topics have long forgotten them.
 */
export function keepCopies(events: readonly AnyEvent[]): Handler<'copies', AnyEvent, AnyEvent, never> {
  return defineHandler('copies', { on: events, emits: events }, (event, { emit }) => emit(event))
}
