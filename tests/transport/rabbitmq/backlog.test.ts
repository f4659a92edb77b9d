import { describe, expect, test } from 'vitest'
import { Backlog, type Waiting } from '../../../src/transport/rabbitmq/backlog.ts'

interface Entry extends Waiting {
  readonly name: string
}

function entry(name: string, key: string | undefined, deadlineMs = 100): Entry {
  return { name, key, deadlineMs, bytes: 1, isDone: false }
}

describe('messages that wait for their confirmation', () => {
  test('are sent in order, and those that are not done again from the first on', () => {
    const backlog = new Backlog<Entry>()
    const entries = Array.from({ length: 5_000 }, (_, index) => entry(String(index), undefined))
    for (const one of entries) backlog.push(one)
    for (const one of entries) expect(backlog.next()).toBe(one)
    expect(backlog.next()).toBeUndefined()
    for (const one of entries.slice(0, 4_000)) backlog.finish(one)
    backlog.finish(entries[4_001]!)
    expect(backlog.size).toBe(999)
    backlog.rewind()
    expect([backlog.next(), backlog.next()]).toEqual([entries[4_000], entries[4_002]])
    for (const one of entries) if (!one.isDone) backlog.finish(one)
    expect([backlog.size, backlog.next(), backlog.oldest()]).toEqual([0, undefined, undefined])
    backlog.push(entries[0]!)
    expect(backlog.all()).toEqual([])
  })

  test('one that was given up before it was sent is not sent', () => {
    const backlog = new Backlog<Entry>()
    const [first, second] = [entry('first', 'k'), entry('second', undefined)]
    backlog.push(first)
    backlog.push(second)
    backlog.finish(first)
    expect(backlog.next()).toBe(second)
  })

  test('are overdue with those of their key that stand behind them, and with no others', () => {
    const backlog = new Backlog<Entry>()
    const done = entry('done', 'a')
    const all = [
      done,
      entry('late', 'a'),
      entry('other', 'b', 200),
      entry('behind', 'a', 200),
      entry('none', undefined, 200),
      entry('also late', undefined),
    ]
    for (const one of all) backlog.push(one)
    backlog.finish(done)
    expect(backlog.overdue(99)).toEqual([])
    expect(backlog.overdue(100).map(({ name }) => name)).toEqual(['late', 'behind', 'also late'])
  })
})
