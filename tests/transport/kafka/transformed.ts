import { z } from 'zod'
import { defineEvent } from '../../../src/message/event.ts'
import type { RecordedEvent } from '../../../src/message/event.ts'
import type { OutgoingMessage } from '../../../src/transport/port.ts'
import type { Topic } from '../../../src/transport/topic.ts'
import { defineTopic } from '../../../src/transport/topic.ts'
import { encodeMessage } from '../../../src/transport/wire.ts'

export const Counted = defineEvent('Counted', z.object({ key: z.string(), number: z.number() }))
export const Noted = defineEvent('Noted', z.object({ text: z.string() }))
export const Doubled = defineEvent('Doubled', z.object({ key: z.string(), number: z.number(), twice: z.number() }))
export const Logged = defineEvent('Logged', z.object({ key: z.string(), number: z.number() }))

/** The topics of a stage: what is read, and two that are written to. */
export function stageOf(name: string, partitions = 4): { readonly from: Topic; readonly doubled: Topic; readonly logged: Topic } {
  return {
    from: defineTopic(`${name}.in`, { events: [Counted, Noted], partitions }),
    doubled: defineTopic(`${name}.doubled`, { events: [Doubled], partitions: 3 }),
    logged: defineTopic(`${name}.logged`, { events: [Logged], partitions: 1 }),
  }
}

export function counted(topic: Topic, key: string, number: number): OutgoingMessage {
  const { type, data } = Counted({ key, number })
  return encodeMessage({ ...recorded, type, data, id: `${key}-${number}`, stream: `counter:${key}`, version: number }, topic)
}

export function noted(topic: Topic, text: string): OutgoingMessage {
  const { type, data } = Noted({ text })
  return encodeMessage({ ...recorded, type, data, id: text, stream: 'note:n' }, topic)
}

const recorded: Omit<RecordedEvent, 'type' | 'data' | 'id' | 'stream'> = {
  source: 'tests',
  schemaVersion: 1,
  version: 1,
  position: 1,
  time: new Date(0),
  correlationId: 'the-beginning',
  causationId: 'the-cause',
  metadata: {},
  tags: [],
}
