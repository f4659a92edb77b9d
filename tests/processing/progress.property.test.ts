import fc from 'fast-check'
import { expect, test } from 'vitest'
import { Progress } from '../../src/processing/progress.ts'
import type { ProgressState } from '../../src/processing/progress.ts'

interface Saved {
  readonly position: number
  readonly state: ProgressState | undefined
}

const step = fc.oneof(
  { weight: 4, arbitrary: fc.record({ what: fc.constant('take' as const), isOurs: fc.boolean() }) },
  { weight: 4, arbitrary: fc.record({ what: fc.constant('finish' as const), which: fc.nat() }) },
  { weight: 2, arbitrary: fc.record({ what: fc.constant('save' as const) }) },
  { weight: 1, arbitrary: fc.record({ what: fc.constant('die' as const) }) },
)

test('what was finished when it was saved is not met again, what was not is, over any number of deaths', () => {
  fc.assert(
    fc.property(fc.array(step, { maxLength: 200 }), (steps) => {
      let progress = new Progress(0, undefined)
      let saved: Saved = { position: 0, state: undefined }
      /** Finished as it is now, and as it was when it was saved. */
      let finished = new Set<number>()
      let savedFinished = new Set<number>()
      /** Of those, what was begun here and finished: it has had its effect. */
      let done = new Set<number>()
      let savedDone = new Set<number>()
      let savedOpen: readonly number[] = []
      let open: number[] = []
      let next = 1
      for (const one of steps)
        switch (one.what) {
          case 'take':
            expect(progress.wasFinished(next)).toBe(finished.has(next))
            if (finished.has(next) || !one.isOurs) {
              finished.add(next)
              progress.pass(next)
            } else {
              progress.begin(next)
              open.push(next)
            }
            next++
            break
          case 'finish': {
            const position = open[one.which % open.length]
            if (position === undefined) break
            open = open.filter((other) => other !== position)
            progress.finish(position)
            finished.add(position)
            done.add(position)
            break
          }
          case 'save': {
            const { position, state } = progress
            saved = { position, state: state && (JSON.parse(JSON.stringify(state)) as ProgressState) }
            savedFinished = new Set(finished)
            savedDone = new Set(done)
            savedOpen = [...open]
            for (let before = 1; before <= position; before++) expect(finished.has(before)).toBe(true)
            expect(finished.has(position + 1) && position + 1 < next).toBe(false)
            break
          }
          case 'die':
            progress = new Progress(saved.position, saved.state)
            finished = new Set([...savedFinished].filter((position) => position <= saved.position || progress.wasFinished(position)))
            for (const position of savedDone) expect(finished.has(position)).toBe(true)
            for (const position of savedOpen) expect(finished.has(position)).toBe(false)
            done = new Set(savedDone)
            open = []
            next = saved.position + 1
        }
    }),
    { numRuns: 2_000 },
  )
})

test('what was begun and finished above the checkpoint is remembered', () => {
  fc.assert(
    fc.property(fc.uniqueArray(fc.integer({ min: 1, max: 30 }), { maxLength: 30 }), (order) => {
      const progress = new Progress(0, undefined)
      for (let position = 1; position <= 30; position++) progress.begin(position)
      for (const position of order) progress.finish(position)
      const again = new Progress(progress.position, progress.state)
      for (let position = progress.position + 1; position <= 30; position++)
        expect(again.wasFinished(position)).toBe(order.includes(position))
      expect(progress.openCount).toBe(30 - order.length)
    }),
  )
})
