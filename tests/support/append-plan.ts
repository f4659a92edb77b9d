import fc from 'fast-check'
import { event } from '../../src/conformance/storage/write-sets.ts'
import type { LogRange, StreamRange } from '../../src/storage/port.ts'
import type { EncodedEvent, EventQueryItem, ExpectedVersion, StreamAppend, WriteSet } from '../../src/storage/write-set.ts'

// What writers do and readers ask for, made at random: few streams, few ids and few types, so that they meet.

const streams = ['a:1', 'a:2', 'b:1', 'c']
const types = ['Opened', 'Changed', 'Closed']
const tags = ['x', 'y', 'z']
const sharedIds = 6

interface EventPlan {
  /** An id that others use too, or one of its own. */
  readonly sharedId: number | undefined
  readonly type: string
  readonly tags: readonly string[]
  readonly timeMs: number
}
interface AppendPlan {
  readonly stream: string
  /** `'known'`: the version that the writer saw last. */
  readonly expected: ExpectedVersion | 'known'
  readonly events: readonly EventPlan[]
}
interface SetPlan {
  readonly appends: readonly AppendPlan[]
  readonly condition: { readonly item: EventQueryItem; readonly after: number } | undefined
}
type CallPlan = readonly SetPlan[]
/** What each writer does, call by call. */
export type Plan = readonly (readonly CallPlan[])[]
export interface Reads {
  readonly ofStreams: readonly StreamRange[]
  readonly ofLog: readonly LogRange[]
}

const rarely = <T>(arbitrary: fc.Arbitrary<T>): fc.Arbitrary<T | undefined> =>
  fc.oneof({ weight: 7, arbitrary: fc.constant(undefined) }, { weight: 1, arbitrary })

const eventPlan: fc.Arbitrary<EventPlan> = fc.record({
  sharedId: rarely(fc.nat(sharedIds - 1)),
  type: fc.constantFrom(...types),
  tags: fc.subarray(tags),
  timeMs: fc.nat(20),
})
const queryItem: fc.Arbitrary<EventQueryItem> = fc.record(
  { types: fc.subarray(types, { minLength: 1 }), streams: fc.subarray(streams, { minLength: 1 }), tags: fc.subarray(tags) },
  { requiredKeys: [] },
)
const setPlan: fc.Arbitrary<SetPlan> = fc.record({
  appends: fc.array(
    fc.record({
      stream: fc.constantFrom(...streams),
      expected: fc.oneof(
        { weight: 8, arbitrary: fc.constantFrom('any', 'known') },
        { weight: 1, arbitrary: fc.constantFrom('no-stream', 'stream-exists') },
        { weight: 1, arbitrary: fc.nat(4) },
      ),
      events: fc.array(eventPlan, { minLength: 1, maxLength: 3 }),
    }),
    { minLength: 1, maxLength: 3 },
  ),
  condition: rarely(fc.record({ item: queryItem, after: fc.nat(15) })),
})
export const plan: fc.Arbitrary<Plan> = fc.array(
  fc.array(fc.array(setPlan, { minLength: 1, maxLength: 4 }), { minLength: 1, maxLength: 6 }),
  {
    minLength: 1,
    maxLength: 5,
  },
)
export const reads: fc.Arbitrary<Reads> = fc.record({
  ofStreams: fc.array(
    fc.record(
      {
        stream: fc.constantFrom(...streams, 'unknown'),
        direction: fc.constantFrom('forwards', 'backwards'),
        fromVersion: fc.nat(8),
        toVersion: fc.nat(8),
        untilMs: fc.nat(20),
        limit: fc.integer({ min: 1, max: 12 }),
      },
      { requiredKeys: ['stream', 'direction', 'limit'] },
    ),
    { minLength: 3, maxLength: 6 },
  ),
  ofLog: fc.array(
    fc.record(
      {
        after: fc.nat(20),
        upTo: fc.nat(40),
        limit: fc.integer({ min: 1, max: 40 }),
        types: fc.subarray(types),
        categories: fc.subarray(['a', 'b', 'c']),
        query: fc.record({ items: fc.array(queryItem, { maxLength: 2 }) }),
      },
      { requiredKeys: ['after', 'limit'] },
    ),
    { minLength: 3, maxLength: 6 },
  ),
})

/** The sets of a call as they are sent: what the port forbids in a call, since the core sees to it, is left out of the plan. */
export function setsOf(call: CallPlan, known: ReadonlyMap<string, number>): readonly WriteSet[] {
  const onlyAny = new Map<string, boolean>()
  const used = new Set<number>()
  const encode = ({ sharedId, ...given }: EventPlan): EncodedEvent => {
    if (sharedId === undefined || used.has(sharedId)) return event(given)
    used.add(sharedId)
    return event({ ...given, id: `shared ${sharedId}` })
  }
  const sets: WriteSet[] = []
  for (const { appends: planned, condition } of call) {
    // A condition could be broken by a neighbour's events.
    if (condition && sets.length > 0) continue
    const appends: StreamAppend[] = []
    for (const { stream, expected, events } of planned) {
      const before = onlyAny.get(stream)
      if (before !== undefined && !(before && expected === 'any')) continue
      onlyAny.set(stream, expected === 'any')
      const expectedVersion = expected === 'known' ? (known.get(stream) ?? 0) : expected
      appends.push({ stream, expectedVersion, events: events.map(encode) })
    }
    if (appends.length === 0) continue
    if (!condition) sets.push({ appends })
    else return [{ appends, conditions: [{ query: { items: [condition.item] }, after: condition.after }] }]
  }
  return sets
}
