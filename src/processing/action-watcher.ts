import { Periodic } from '../observability/periodic.ts'
import type { EventStore } from '../storage/event-store.ts'
import type { DeadLetters } from './dead-letters.ts'
import type { OperatorAction } from './operator-action.ts'

/** Whoever runs processors here, and does what is asked for of them. */
export interface ActionTaker {
  /** Does what is asked for if the processor runs here; nothing when it has been told before, and is at it. */
  take(action: OperatorAction): void
}

const lookEveryMs = 500

/**
 * Looks, once for all processors of this process, what operators ask for, and hands it to whoever runs the processor here; again until it is done, since a
 * run may end before it comes to it.
 */
export class ActionWatcher extends Periodic {
  constructor(letters: DeadLetters, { environment }: EventStore, takers: () => Iterable<ActionTaker>) {
    super({
      environment,
      everyMs: lookEveryMs,
      complaint: 'what operators ask for could not be read',
      work: async () => {
        for (const action of await letters.requested()) for (const taker of takers()) taker.take(action)
      },
    })
  }
}
