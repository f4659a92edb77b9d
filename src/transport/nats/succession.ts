import type { ConsumerInfo } from '@nats-io/jetstream'
import type { Clock } from '../../message/clock.ts'
import type { Holdings } from './holdings.ts'
import type { Puller } from './puller.ts'

/** How long one look at what the server has to give lasts. */
const lookMs = 200
/** How often it is looked whether there is room again. */
const roomMs = 20

export interface Succession {
  readonly holdings: Holdings
  readonly puller: Puller
  /** Of the group, asked for over this connection. */
  readonly info: ConsumerInfo
  readonly ackWaitMs: number
  readonly clock: Clock
  readonly signal: AbortSignal
  /** Messages that were given back for later: it is known that they do not come. */
  postponed(): number
  /** How the group stands now. */
  ask(): Promise<ConsumerInfo | undefined>
  /** How many messages more may be held, beside those that are held back as too new. */
  room(): number
  /** Some can be read. */
  passedOn(): void
  /** False when the connection was lost again. */
  isCurrent(): boolean
}

/**
 * Waits until nothing can come any more that is older than what comes next. The server has given messages to somebody who has not finished them: to a process that
 * died, or to a connection that broke while they were on their way. It gives them out anew when `ackWaitMs` has passed, but meanwhile, to whoever asks, what is
 * newer. So whoever begins first collects what was given out, and puts it in order.
 *
 * Where other processes of the group are alive, what they hold does not come, and a process that joins them begins after `ackWaitMs`.
 */
export async function succeed(succession: Succession): Promise<void> {
  const { holdings, info, ackWaitMs, clock, signal, postponed, ask, room, isCurrent, passedOn } = succession
  const horizon = info.delivered.stream_seq
  let missing = info.num_ack_pending - holdings.count - postponed()
  if (missing <= 0) return
  holdings.closeGate()
  try {
    // The server looks after what has expired a little later than it does.
    const deadlineMs = clock.now() + ackWaitMs * 1.1 + 100
    const stepMs = Math.min(ackWaitMs / 5, 1_000)
    while (clock.now() < deadlineMs) {
      await collect(succession, horizon, missing, false)
      if (!isCurrent() || holdings.gatedUpTo(horizon) >= missing) return
      await clock.sleep(Math.min(stepMs, Math.max(deadlineMs - clock.now(), 1)), signal)
      if (!isCurrent()) return
      // Of what was missing, others may have finished some.
      missing = ((await ask())?.num_ack_pending ?? 0) - (holdings.count - holdings.gatedUpTo(horizon)) - postponed()
    }
    // Everything is given out anew by now that nobody keeps for himself, but perhaps more than there is room for.
    while (isCurrent() && missing > 0) {
      await collect(succession, horizon, missing, true)
      const passed = holdings.passGate(horizon)
      if (passed === 0) return
      missing -= passed
      passedOn()
      while (missing > 0 && room() <= 0 && isCurrent()) await clock.sleep(roomMs, signal)
    }
  } finally {
    holdings.openGate()
  }
}

/**
 * Fetches what is given out anew. That comes before anything new: as soon as something new has come, there is no more of it for now, and nothing is asked for until all must be
 * there. What is new does not count against the room, else it would take that of what must come before it.
 */
async function collect(
  { holdings, puller, room, isCurrent }: Succession,
  horizon: number,
  missing: number,
  isLast: boolean,
): Promise<void> {
  let isSure = isLast
  while (isCurrent() && room() > 0) {
    const old = holdings.gatedUpTo(horizon)
    if (old >= missing || (holdings.gatedCount > old && !isLast)) return
    await puller.fetch(isSure ? Math.min(missing - old, room()) : 1, lookMs)
    if (holdings.gatedUpTo(horizon) === old) return
    isSure = true
  }
}
