import { WaitTimeoutError } from '../processing/errors.ts'
import type { LogTail } from '../processing/log-tail.ts'
import type { EventStore } from '../storage/event-store.ts'

/** An event of this store's log, for whoever has no position of it yet: an outbox gives its caller ids. */
export interface EventReference {
  readonly eventId: string
  /** What the event names as its source. Default: this service. */
  readonly source?: string
}

/**
 * The position of an event, as soon as it is in the log.
 * @throws WaitTimeoutError when it does not come in time
 */
export async function positionOfEvent(
  { store, tail }: { readonly store: EventStore; readonly tail: LogTail },
  identity: { readonly id: string; readonly source: string },
  timeoutMs: number,
): Promise<number> {
  const { clock } = store.environment
  const deadlineMs = clock.now() + timeoutMs
  const never = new AbortController().signal
  for (;;) {
    // What comes while it is looked for wakes whoever waits then.
    const { head } = tail
    const [event] = await store.driver.findEvents([identity])
    if (event) return event.position
    const leftMs = deadlineMs - clock.now()
    if (leftMs <= 0)
      throw new WaitTimeoutError(
        `the log, in which there is no event ${identity.id} of ${identity.source},`,
        head + 1,
        head,
        timeoutMs,
        undefined,
      )
    await tail.grown(head, leftMs, never)
  }
}
