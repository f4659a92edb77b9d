import type { Mutant } from './broken.ts'
import { receiving, sending } from './broken.ts'

const partition = { ordering: 'partition' } as const
const queue = { ordering: 'queue' } as const

export const mutantsOfContent: readonly Mutant[] = [
  {
    defect: 'takes bodies for text',
    of: queue,
    caughtBy: ['content: bodies come back to the byte'],
    connection: receiving((message) => ({ ...message, body: Buffer.from(Buffer.from(message.body).toString()) })),
  },
  {
    defect: 'sends the buffer behind a view',
    of: queue,
    caughtBy: ['content: a view into a larger buffer'],
    connection: sending((message) => ({ ...message, body: new Uint8Array(message.body.buffer) })),
  },
  {
    defect: 'leaves attributes among the headers',
    of: queue,
    caughtBy: ['content: the attributes of a CloudEvent'],
    connection: receiving((message) => ({ ...message, headers: { ...message.headers, ...message.attributes }, attributes: {} })),
  },
  {
    defect: 'shows a header of its own',
    of: queue,
    caughtBy: ['content: neither attributes nor headers', 'without priorities: one that is given'],
    connection: receiving((message) => ({ ...message, headers: { ...message.headers, 'x-id': String(message.id) } })),
  },
  {
    defect: 'trims the values of headers',
    of: queue,
    caughtBy: ['content: header values'],
    connection: sending((message) => ({ ...message, headers: mapped(message.headers, (name, value) => [name, value.trim()]) })),
  },
  {
    defect: 'writes the names of headers small',
    of: queue,
    caughtBy: ['content: header names'],
    connection: sending((message) => ({ ...message, headers: mapped(message.headers, (name, value) => [name.toLowerCase(), value]) })),
  },
  {
    defect: 'has room for ten headers',
    of: queue,
    caughtBy: ['content: many headers'],
    connection: sending((message) => ({ ...message, headers: Object.fromEntries(Object.entries(message.headers).slice(0, 10)) })),
  },
  {
    defect: 'takes an empty key for none',
    of: queue,
    caughtBy: ['content: keys may be any text'],
    connection: receiving((message) => ({ ...message, key: message.key || undefined })),
  },
  {
    defect: 'cuts long ids',
    of: queue,
    caughtBy: ['content: ids may be any text'],
    connection: sending((message) => ({ ...message, id: message.id.slice(0, 100) })),
  },
  {
    defect: 'does not say where a message comes from',
    of: partition,
    caughtBy: ['content: the broker’s own words'],
    connection: receiving((message) => ({ ...message, partition: undefined })),
  },
]

function mapped(
  headers: Readonly<Record<string, string>>,
  change: (name: string, value: string) => readonly [string, string],
): Readonly<Record<string, string>> {
  return Object.fromEntries(Object.entries(headers).map(([name, value]) => change(name, value)))
}
