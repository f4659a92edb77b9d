import { defineAggregate, defineCommand, defineEvent, reject } from 'headwater'
import type { StateOf } from 'headwater'
import { z } from 'zod'
import type { Equal } from '../equal.ts'
import { is } from '../equal.ts'

const Add = defineCommand('Add', z.object({ id: z.string(), by: z.number() }))
const Added = defineEvent('Added', z.object({ by: z.number() }))

// A number as the state, and no annotation at all.
export const counter = defineAggregate('counter', { id: 'id', initialState: () => 0 })
  .evolve({ Added }, { Added: (state, { data }) => state + data.by })
  .decide({ Add }, { Add: (state, { data }) => (state < 100 ? Added({ by: data.by }) : []) })
is<Equal<StateOf<typeof counter>, number>>()

// A map as the state, and optional fields.
interface Basket {
  readonly items: Readonly<Record<string, number>>
  readonly note?: string
}
export const basket = defineAggregate('basket', { id: 'id', initialState: (): Basket => ({ items: {} }), snapshot: { every: 10 } })
  .evolve({ Added }, { Added: (state, { data }) => ({ ...state, items: { ...state.items, [data.by]: 1 }, note: 'x' }) })
  .decide({ Add }, { Add: () => [] })

// A state that is made of several streams.
const Enroll = defineCommand('Enroll', z.object({ courseId: z.string(), studentId: z.string() }), { rejections: ['full'] })
const Enrolled = defineEvent('Enrolled', z.object({ courseId: z.string(), studentId: z.string() })).tags(({ courseId, studentId }) => [
  `course:${courseId}`,
  `student:${studentId}`,
])
export const enrollment = defineAggregate('enrollment', {
  id: ['courseId', 'studentId'],
  initialState: () => ({ seats: 20 }),
  boundary: (ids) => {
    is<Equal<typeof ids, { readonly courseId: string; readonly studentId: string }>>()
    return [{ tags: [`course:${ids.courseId}`] }, { tags: [`student:${ids.studentId}`] }]
  },
})
  .evolve({ Enrolled }, { Enrolled: (state) => ({ seats: state.seats - 1 }) })
  .decide({ Enroll }, { Enroll: ({ seats }, { data }) => (seats > 0 ? Enrolled(data) : reject('full')) })
