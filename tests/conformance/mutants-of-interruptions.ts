import type { Transport } from '../../src/transport/port.ts'
import type { Breakage, Mutant } from './broken.ts'
import { broken, consuming } from './broken.ts'

const queue = { ordering: 'queue' } as const

/** A line in name only: what `cut` and the others do is for the defect to say. */
function line(
  breakage: (state: { cuts: number; isRefusing: boolean; accepted: Promise<void> }) => Breakage,
): NonNullable<Mutant['harness']> {
  return (healthy: Transport) => ({
    async interruptible() {
      const { promise: accepted, resolve } = Promise.withResolvers<void>()
      const state = { cuts: 0, isRefusing: false, accepted }
      return {
        transport: broken(healthy, breakage(state)),
        cut: () => void state.cuts++,
        refuse: () => void (state.isRefusing = true),
        accept() {
          state.isRefusing = false
          resolve()
        },
        close: async () => {},
      }
    },
  })
}

export const mutantsOfInterruptions: readonly Mutant[] = [
  {
    defect: 'confirms what was on its way when the connection broke',
    of: queue,
    caughtBy: ['interruptions: connections cut while publishing'],
    harness: line((state) => (connection) => {
      let seen = 0
      return {
        async publish(topic, messages) {
          if (state.cuts === seen) return connection.publish(topic, messages)
          seen = state.cuts
          return messages.map(() => ({ ok: true }))
        },
      }
    }),
  },
  {
    defect: 'receives nothing after the connection broke',
    of: queue,
    caughtBy: ['interruptions: connections cut while consuming'],
    harness: line((state) =>
      consuming((inner) => ({
        async *read(after) {
          for await (const batch of inner.read(after)) if (state.cuts === 0) yield batch
        },
      })),
    ),
  },
  {
    defect: 'gives up at once when the server is away',
    of: queue,
    caughtBy: ['interruptions: a server that is away for a moment'],
    harness: line((state) => (connection) => ({
      async publish(topic, messages) {
        if (!state.isRefusing) return connection.publish(topic, messages)
        return messages.map(() => ({ ok: false, refused: false, error: new Error('ECONNREFUSED') }))
      },
    })),
  },
  {
    defect: 'cannot be closed while the server is away',
    of: queue,
    caughtBy: ['interruptions: a connection whose server is away can be closed'],
    harness: line((state) => (connection) => ({
      async close() {
        if (state.isRefusing) await state.accepted
        await connection.close()
      },
    })),
  },
]
