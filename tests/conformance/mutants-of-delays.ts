import { setTimeout as delay } from 'node:timers/promises'
import type { Mutant } from './broken.ts'
import { receiving, sending, sendingAll } from './broken.ts'

const delaying = { ordering: 'queue', maxDelayMs: 60_000 } as const

export const mutantsOfDelays: readonly Mutant[] = [
  {
    defect: 'says that it gives out messages later, and gives them out at once',
    of: delaying,
    caughtBy: ['delays: a message is given out no sooner', 'delays: of many each comes once', 'delays: each group gets it'],
    connection: sending((message) => ({ ...message, delayMs: 0 })),
  },
  {
    defect: 'gives out a message somewhat too soon',
    of: delaying,
    caughtBy: ['delays: a message is given out no sooner', 'delays: one outlives the end', 'delays: each group gets it'],
    connection: sending(({ delayMs = 0, ...message }) => ({ ...message, delayMs: delayMs * 0.6 })),
  },
  {
    defect: 'keeps back what is sent after a message that is to come later',
    of: delaying,
    caughtBy: ['delays: a message is given out no sooner'],
    connection: sendingAll((messages) => {
      const delayMs = Math.max(...messages.map((one) => one.delayMs ?? 0))
      return messages.map((message) => ({ ...message, delayMs }))
    }),
  },
  {
    defect: 'has one queue for all delays, of which only the first message is looked at',
    of: delaying,
    caughtBy: ['delays: one with a short delay does not wait'],
    connection: (connection, shared) =>
      sending(({ delayMs = 0, ...message }) => {
        shared['longest'] = Math.max(Number(shared['longest'] ?? 0), delayMs)
        return { ...message, delayMs: Number(shared['longest']) }
      })(connection, shared),
  },
  {
    defect: 'loses some of those that are to come later',
    of: delaying,
    caughtBy: ['delays: of many each comes once'],
    connection: sending((message, index) => (index === 41 ? undefined : message)),
  },
  {
    defect: 'waits in the publisher, and forgets what waits there when it is closed',
    of: delaying,
    caughtBy: ['delays: one outlives the end of its publisher'],
    connection(connection) {
      const closing = new AbortController()
      return {
        async publish(topic, messages) {
          const now = messages.map((message) => ({ ...message, delayMs: 0 }))
          const waitMs = messages[0]?.delayMs ?? 0
          if (waitMs === 0) return connection.publish(topic, now)
          void delay(waitMs, undefined, { signal: closing.signal }).then(
            () => connection.publish(topic, now),
            () => undefined,
          )
          return messages.map(() => ({ ok: true }))
        },
        close: async () => {
          closing.abort()
          await connection.close()
        },
      }
    },
  },
  {
    defect: 'adds headers of its own to what was put off',
    of: delaying,
    caughtBy: ['delays: one outlives the end of its publisher'],
    connection: receiving((message) => ({ ...message, headers: { ...message.headers, 'x-death': '[]' } })),
  },
  {
    defect: 'takes a delay that it cannot keep for none',
    of: { ordering: 'queue' },
    caughtBy: ['impossible delays: are refused'],
    connection: sending((message) => ({ ...message, delayMs: 0 })),
  },
  {
    defect: 'shortens a delay that is too long',
    of: delaying,
    caughtBy: ['impossible delays: are refused'],
    connection: sending((message) => ({ ...message, delayMs: Math.min(1_000, Math.max(0, message.delayMs || 0)) })),
  },
]
