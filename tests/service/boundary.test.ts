import { expect, test } from 'vitest'
import { z } from 'zod'
import { defineAggregate } from '../../src/aggregate/aggregate.ts'
import { defineCommand, reject } from '../../src/message/command.ts'
import { defineEvent } from '../../src/message/event.ts'
import { defineService } from '../../src/service/service.ts'
import { startForTest } from '../support/apps.ts'
import { describeOnEveryStore } from '../support/stores.ts'

const StudentEnrolled = defineEvent('StudentEnrolled', z.object({ courseId: z.string(), studentId: z.string() })).tags((data) => [
  `course:${data.courseId}`,
  `student:${data.studentId}`,
])
const Enrol = defineCommand('Enrol', z.object({ courseId: z.string(), studentId: z.string() }), {
  rejections: ['course-full', 'too-many-courses'],
})

/** A course takes three students, a student two courses: no single stream could decide that. */
const enrolment = defineAggregate('enrolment', {
  id: ['courseId', 'studentId'],
  initialState: (): readonly { courseId: string; studentId: string }[] => [],
  boundary: ({ courseId, studentId }) => [{ tags: [`course:${courseId}`] }, { tags: [`student:${studentId}`] }],
})
  .evolve({ StudentEnrolled }, { StudentEnrolled: (state, { data }) => [...state, data] })
  .decide(
    { Enrol },
    {
      Enrol: (state, { data }) => {
        if (state.filter(({ courseId }) => courseId === data.courseId).length >= 3) return reject('course-full')
        if (state.filter(({ studentId }) => studentId === data.studentId).length >= 2) return reject('too-many-courses')
        return StudentEnrolled(data)
      },
    },
  )
const school = defineService('school', { aggregates: [enrolment] })

describeOnEveryStore('an aggregate with a boundary', (fresh) => {
  test('holds its rules over several streams, whoever comes at the same time', async () => {
    const app = await startForTest(school, { storage: await fresh() })
    const outcomes = await Promise.all(Array.from({ length: 8 }, (_, i) => app.send(Enrol, { courseId: 'c-1', studentId: `s-${i}` })))
    expect(outcomes.filter(({ ok }) => ok)).toHaveLength(3)
    expect(outcomes.filter((outcome) => !outcome.ok && outcome.code === 'course-full')).toHaveLength(5)
    expect(await app.state(enrolment, { courseId: 'c-1', studentId: 'nobody' })).toHaveLength(3)
  })

  test('does not mind events outside of it', async () => {
    const app = await startForTest(school, { storage: await fresh() })
    const outcomes = await Promise.all(Array.from({ length: 6 }, (_, i) => app.send(Enrol, { courseId: `c-${i}`, studentId: `s-${i}` })))
    expect(outcomes.every(({ ok }) => ok)).toBe(true)
    await app.send(Enrol, { courseId: 'c-1', studentId: 's-0' })
    expect(await app.send(Enrol, { courseId: 'c-2', studentId: 's-0' })).toMatchObject({ ok: false, code: 'too-many-courses' })
  })
})
