import { randomBytes } from 'node:crypto'
import { environment } from '../../observability/environment.ts'
import { silentLog } from '../../observability/log.ts'
import type { Transport, TransportConnection } from '../../transport/port.ts'
import { acknowledging } from './acknowledging.ts'
import type { TransportBehaviourGroup, TransportHarness } from './behaviour.ts'
import { connecting, unreachable } from './connecting.ts'
import { contentFidelity } from './content-fidelity.ts'
import { delays, impossibleDelays } from './delays.ts'
import { delivery } from './delivery.ts'
import { interruptions } from './interruptions.ts'
import { lag } from './lag.ts'
import { members, membersInOrder, membersOfGroupedKeys, membersOfPartitions } from './members.ts'
import { forgottenOffsets, offsets } from './offsets.ts'
import { order } from './order.ts'
import { priorities, withoutPriorities } from './priorities.ts'
import { publishing } from './publishing.ts'
import { reset, resetOfPartitions, withoutReset } from './reset.ts'
import { startAtBeginning, startAtEnd, startAtEndOfQueue, startAtTime } from './start-at.ts'
import { topics } from './topics.ts'

/** One promise of the port, ready to be run by whatever test framework. */
export interface TransportBehaviour {
  readonly group: string
  readonly name: string
  /**
   * Tries the behaviour on topics of its own and removes them. Rejects when the adapter does not keep the promise; resolves to why it was
   * skipped when its capabilities say that it makes no such promise.
   */
  run(): Promise<{ readonly skipped: string } | undefined>
}

const groups: readonly TransportBehaviourGroup[] = [
  connecting,
  unreachable,
  topics,
  publishing,
  contentFidelity,
  delivery,
  order,
  acknowledging,
  members,
  membersInOrder,
  membersOfPartitions,
  membersOfGroupedKeys,
  startAtBeginning,
  startAtEnd,
  startAtEndOfQueue,
  startAtTime,
  offsets,
  forgottenOffsets,
  reset,
  resetOfPartitions,
  withoutReset,
  lag,
  priorities,
  withoutPriorities,
  delays,
  impossibleDelays,
  interruptions,
]

/**
 * Every promise of `Transport`, one behaviour each. They are independent of each other and may run at the same time; most need less than
 * a second, those that wait for a group to share its partitions anew as long as the broker takes for that. With vitest, for example:
 *
 *     for (const { group, name, run } of transportConformance({ transport: kafka({ brokers }) }))
 *       test(`${group}: ${name}`, async ({ skip }) => {
 *         const outcome = await run()
 *         if (outcome) skip(outcome.skipped)
 *       })
 */
export function transportConformance(harness: TransportHarness): readonly TransportBehaviour[] {
  return groups.flatMap((group) =>
    Object.keys(group.behaviours).map((name) => ({ group: group.group, name, run: () => runBehaviour(harness, group, name) })),
  )
}

async function runBehaviour(
  harness: TransportHarness,
  group: TransportBehaviourGroup,
  name: string,
): Promise<{ readonly skipped: string } | undefined> {
  const connections: TransportConnection[] = []
  const made: string[] = []
  const cleanUps: (() => Promise<void>)[] = []
  const connect = async (transport: Transport = harness.transport): Promise<TransportConnection> => {
    const connection = await transport.connect({ environment: environment({ log: silentLog }), clientName: 'headwater-conformance' })
    connections.push(connection)
    return connection
  }
  const unusedName = (): string => {
    const unused = `hw-${randomBytes(8).toString('hex')}`
    made.push(unused)
    return unused
  }
  try {
    const connection = await connect()
    const applies = group.requires?.(connection.capabilities, harness) ?? true
    if (applies !== true) return { skipped: applies }
    await group.behaviours[name]!({
      harness,
      connection,
      capabilities: connection.capabilities,
      connect,
      async topic(options = {}) {
        const topic = unusedName()
        await connection.ensureTopic({ name: topic, ...options })
        return topic
      },
      unusedName,
      atEnd: (cleanUp) => void cleanUps.push(cleanUp),
    })
    return undefined
  } finally {
    // What cannot be cleaned up must not hide why the behaviour failed; that closing works is a behaviour of its own.
    await Promise.allSettled(cleanUps.map((cleanUp) => cleanUp()))
    await Promise.allSettled(connections.map((one) => one.close()))
    if (harness.dispose) await Promise.allSettled(made.map(async (topic) => harness.dispose?.(topic)))
  }
}
