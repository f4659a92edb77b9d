import assert from 'node:assert/strict'
import type { StorageDriver } from '../../storage/port.ts'
import type { AppendCondition, EventQueryItem, WriteSet } from '../../storage/write-set.ts'
import type { BehaviourGroup } from './behaviour.ts'
import { isAskedFor } from '../../storage/event-query.ts'
import { awkwardNames } from './names.ts'
import { commitPatiently, Patience } from './patience.ts'
import { Random } from './random.ts'
import { wholeLog } from './recorded.ts'
import { append, appending, commit, committed, companies, event, mustCommit } from './write-sets.ts'

/** No event that matches one of the items may come after the position. */
function unless(after: number, ...items: readonly EventQueryItem[]): AppendCondition {
  return { query: { items }, after }
}

function conditional(...conditions: readonly AppendCondition[]): WriteSet {
  return { ...appending('target:1'), conditions }
}

/** Positions 1 to 4. */
async function furnish(driver: StorageDriver): Promise<void> {
  await mustCommit(driver, {
    appends: [
      append('course:1', 'any', [event({ type: 'CourseOpened', tags: ['course:1'] })]),
      append('student:1', 'any', [event({ type: 'StudentJoined', tags: ['student:1'] })]),
      append('course:1', 'any', [event({ type: 'Enrolled', tags: ['course:1', 'student:1'] })]),
      append('course:2', 'any', [event({ type: 'CourseOpened', tags: ['course:2'] })]),
    ],
  })
}

// The condition, and the position of the only event that breaks it, or undefined when none does.
const cases: readonly [string, AppendCondition, number | undefined][] = [
  ['a type', unless(0, { types: ['Enrolled'] }), 3],
  ['a type that came no later than the position', unless(3, { types: ['Enrolled'] }), undefined],
  ['a type that never came', unless(0, { types: ['CourseClosed'] }), undefined],
  ['a stream', unless(0, { streams: ['student:1'] }), 2],
  ['a stream that ended before the position', unless(2, { streams: ['student:1'] }), undefined],
  ['one of several types', unless(1, { types: ['CourseClosed', 'CourseOpened'] }), 4],
  ['one of several streams', unless(3, { streams: ['course:9', 'course:2', 'course:1'] }), 4],
  ['a tag', unless(0, { tags: ['course:2'] }), 4],
  ['all of two tags', unless(0, { tags: ['student:1', 'course:1'] }), 3],
  ['two tags that no event has together', unless(0, { tags: ['course:1', 'course:2'] }), undefined],
  ['a type with a tag', unless(0, { types: ['CourseOpened'], tags: ['course:2'] }), 4],
  ['a type with a tag that another type has', unless(0, { types: ['StudentJoined'], tags: ['course:1'] }), undefined],
  ['a type in a stream with a tag', unless(0, { types: ['Enrolled'], streams: ['course:1'], tags: ['student:1'] }), 3],
  ['a type in another stream', unless(0, { types: ['Enrolled'], streams: ['course:2'] }), undefined],
  ['the second of two items', unless(1, { types: ['CourseClosed'] }, { tags: ['course:2'] }), 4],
  ['none of two items', unless(0, { types: ['CourseClosed'] }, { tags: ['course:3'] }), undefined],
  ['any event at all', unless(3, {}), 4],
  ['any event at all after the head', unless(4, {}), undefined],
  ['no item', unless(0), undefined],
  ['no tag, which every event has', unless(3, { tags: [] }), 4],
  ['a type out of none', unless(0, { types: [] }), undefined],
  ['a position far beyond the head', unless(Number.MAX_SAFE_INTEGER, {}), undefined],
]

// Whoever calls `commit` keeps sets apart of which one's events would break the other's condition.
const neighbour = { type: 'NeighbourMoved', stream: 'neighbour:1', tags: [] }

const table = cases.flatMap(([what, condition, position]) =>
  (isAskedFor(condition.query, neighbour.stream, neighbour) ? companies.slice(0, 1) : companies).map(
    ({ how, judge }): [string, BehaviourGroup['behaviours'][string]] => [
      `a condition on ${what} ${position ? 'refuses' : 'lets pass'}, judged ${how}`,
      async ({ driver }) => {
        await furnish(driver)
        const verdict = await judge(driver, conditional(condition))
        if (position === undefined) assert.equal(verdict.status, 'committed')
        else assert.deepEqual(verdict, { status: 'condition-failed', position })
        assert.equal((await driver.listStreams({ category: 'target', limit: 1 })).length, position === undefined ? 1 : 0)
      },
    ],
  ),
)

export const appendConditions: BehaviourGroup = {
  group: 'append: conditions',
  behaviours: {
    ...Object.fromEntries(table),

    async 'each of several conditions must hold'({ driver }) {
      await furnish(driver)
      const [held, broken] = [unless(2, { types: ['StudentJoined'] }), unless(2, { types: ['Enrolled'] })]
      for (const conditions of [[held, broken], [broken, held], [broken]])
        assert.deepEqual(await commit(driver, conditional(...conditions)), { status: 'condition-failed', position: 3 })
      assert.equal((await commit(driver, conditional(held, held))).status, 'committed')
    },

    async 'the position told is that of an event that the condition rules out'({ driver }) {
      await furnish(driver)
      const verdict = await commit(driver, conditional(unless(1, { tags: ['course:1'] }, { tags: ['course:2'] })))
      assert.ok(verdict.status === 'condition-failed')
      assert.ok([3, 4].includes(verdict.position), `position ${verdict.position}`)
    },

    async "the set's own events are no reason to refuse it"({ driver }) {
      const own = [event({ type: 'NameTaken', tags: ['name:ada'] }), event({ type: 'NameTaken', tags: ['name:ada'] })]
      const set = { ...appending('name:ada', 'any', own), conditions: [unless(0, { types: ['NameTaken'], tags: ['name:ada'] })] }
      assert.equal((await commit(driver, set)).status, 'committed')
      const again = { ...appending('name:ada', 'any', [event({ type: 'NameTaken', tags: ['name:ada'] })]), conditions: set.conditions }
      assert.equal((await commit(driver, again)).status, 'condition-failed')
    },

    async 'a set without events is held to its conditions too'({ driver }) {
      await furnish(driver)
      assert.equal((await commit(driver, { appends: [], conditions: [unless(3, {})] })).status, 'condition-failed')
      assert.equal((await commit(driver, { appends: [], conditions: [unless(4, {})] })).status, 'committed')
    },

    async 'names in conditions are compared exactly, whatever they look like'({ driver }) {
      const all = awkwardNames.map((name) => append(name, 'any', [event({ type: name, tags: [name] })]))
      const { position: head } = await mustCommit(driver, { appends: all })
      for (const [index, name] of awkwardNames.entries())
        for (const item of [{ types: [name] }, { streams: [name] }, { tags: [name] }])
          assert.deepEqual(await commit(driver, conditional(unless(0, item))), { status: 'condition-failed', position: index + 1 }, name)
      for (const item of [{ types: ['absent'] }, { streams: ['absent'] }, { tags: ['absent'] }])
        assert.equal((await commit(driver, { appends: [], conditions: [unless(0, item)] })).status, 'committed')
      assert.equal((await driver.log()).head, head)
    },

    async 'conditions made at random are judged as they are written'({ driver }) {
      const random = new Random(7)
      const [types, streams, tags] = [
        ['A', 'B', 'C'],
        ['s:1', 's:2', 's:3'],
        ['x', 'y', 'z'],
      ]
      await mustCommit(driver, {
        appends: Array.from({ length: 40 }, () =>
          append(random.pick(streams), 'any', [event({ type: random.pick(types), tags: random.some(tags) })]),
        ),
      })
      const log = await wholeLog(driver)
      for (let round = 0; round < 60; round++) {
        const items = Array.from({ length: random.below(3) + 1 }, () => ({
          ...(random.below(2) && { types: [random.pick(types), random.pick(types)] }),
          ...(random.below(2) && { streams: [random.pick(streams)] }),
          ...(random.below(2) && { tags: random.some(tags) }),
        }))
        const condition = unless(20 + random.below(21), ...items)
        const breaking = log
          .filter((one) => one.position > condition.after && isAskedFor(condition.query, one.stream, one))
          .map(({ position }) => position)
        const verdict = await commit(driver, { appends: [], conditions: [condition] })
        if (verdict.status === 'condition-failed') assert.ok(breaking.includes(verdict.position), JSON.stringify(condition))
        else assert.deepEqual([verdict.status, breaking], ['committed', []], JSON.stringify(condition))
      }
    },

    async 'of those who try at the same time to be the first, one is'({ driver, reopen }) {
      const drivers = [driver, await reopen()]
      const tries = Array.from({ length: 24 }, (_, index) => ({ name: `name:${index % 4}`, driver: drivers[index % 3 === 0 ? 0 : 1]! }))
      const verdicts = await Promise.all(
        tries.map(async ({ name, driver: through }) => {
          const set = { ...appending(`user:${Math.random()}`, 'any', [event({ tags: [name] })]), conditions: [unless(0, { tags: [name] })] }
          return { name, verdict: (await commitPatiently(through, [set]))[0]! }
        }),
      )
      for (let name = 0; name < 4; name++) {
        const statuses = verdicts.filter((one) => one.name === `name:${name}`).map(({ verdict }) => verdict.status)
        assert.deepEqual(statuses.toSorted(), ['committed', ...Array<string>(5).fill('condition-failed')])
      }
    },

    async 'a limit that is checked by reading holds against concurrent writers'({ driver, reopen }) {
      const seats = 7
      const query = { items: [{ types: ['SeatTaken'], tags: ['course:1'] }] }
      const patience = new Patience('sixteen students and seven seats')
      const enrol = async (through: StorageDriver, student: number): Promise<boolean> => {
        for (;;) {
          patience.check()
          const taken = await through.readLog({ after: 0, query, limit: 100 })
          if (taken.length >= seats) return false
          const set: WriteSet = {
            ...appending(`student:${student}`, 'any', [event({ type: 'SeatTaken', tags: ['course:1', `student:${student}`] })]),
            conditions: [{ query, after: taken.at(-1)?.position ?? 0 }],
          }
          const [verdict] = await commitPatiently(through, [set])
          if (verdict!.status === 'committed') return true
          assert.equal(verdict!.status, 'condition-failed')
        }
      }
      const drivers = [driver, await reopen()]
      const outcomes = await Promise.all(Array.from({ length: 16 }, (_, student) => enrol(drivers[student % 2]!, student)))
      assert.equal(outcomes.filter(Boolean).length, seats)
      assert.equal((await driver.readLog({ after: 0, query, limit: 100 })).length, seats)
    },

    async 'a condition that holds does not loosen the expectation of a version'({ driver }) {
      await furnish(driver)
      const set = { ...appending('course:1', 1), conditions: [unless(4, {})] }
      assert.deepEqual(await commit(driver, set), { status: 'version-conflict', stream: 'course:1', expected: 1, actual: 2 })
      assert.deepEqual(committed(await commit(driver, { ...appending('course:1', 2), conditions: [unless(4, {})] })).versions, [3])
    },
  },
}
