import { existsSync } from 'node:fs'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { describe, expect, test } from 'vitest'
import { generateLog } from '../../../examples/expenses/generated-log.ts'
import { countInPlainLoop } from './support/plain-loop.ts'
import { Program, report } from './support/program.ts'
import { describeOnEveryNamedStore, freshDirectory, freshSqlite } from './support/stores.ts'

describeOnEveryNamedStore('a generated log of expenses', (fresh) => {
  test('gives the figures that a plain loop finds in it, and grows without repeating what is stored', async () => {
    const storage = await fresh()
    const some = countInPlainLoop(await generated(500))
    const more = countInPlainLoop(await generated(2_000))
    for (const [declarations, expected, known] of [
      [500, some, 0],
      [2_000, more, some.events],
    ] as const) {
      const { events, longest, ...figures } = expected
      const found = await report('--storage', storage, '--declarations', String(declarations))
      expect(found).toMatchObject({ ...figures, imported: { imported: events - known, skipped: known, bad: 0, position: events } })
      expect(found.longestHistory.events).toBe(longest)
      expect(found.verified.map(({ documents, differences }) => [documents, differences])).toEqual([
        [figures.declarations, []],
        [Object.keys(figures.eventsByType).length, []],
        [Object.keys(figures.rejectionsByRole).length, []],
        [Object.keys(figures.paidByMonth).length, []],
      ])
    }
  })
})

describe('the generated log', () => {
  test('is in the order of its times and the same each time, and a longer one says the same about the same declarations', async () => {
    const text = await generated(300)
    expect(await generated(300)).toBe(text)
    const lines = text.trimEnd().split('\n')
    const times = lines.map((line) => (JSON.parse(line) as { time: string }).time)
    expect(times).toEqual(times.toSorted())
    const longer = new Set((await generated(400)).trimEnd().split('\n'))
    expect(lines.filter((line) => !longer.has(line))).toEqual([])
    expect(await generated(300, 2)).not.toBe(text)
  })

  test('is made while it is read', async () => {
    let longest = 0
    for await (const piece of generateLog({ declarations: 5_000 })) longest = Math.max(longest, piece.length)
    expect(longest).toBeLessThan(70 * 1_024)
  })
})

describe('the expenses example', () => {
  test('reports bad lines with their numbers and goes on', async () => {
    const file = join(await freshDirectory(), 'log.ndjson')
    await writeFile(file, `${await generated(20)}{"type": "Nonsense"}\n`)
    const { code, output, errors } = await new Program(file, '--storage', await freshSqlite()).ended
    expect(errors).toMatch(/^line \d+: .*specversion/)
    expect(output).toContain('1 bad line,')
    expect(output).toContain('20 documents is what the log makes of it')
    expect(code).toBe(1)
    await writeFile(file, 'no event\n')
    const nothing = await new Program(file, '--storage', await freshSqlite()).ended
    expect(nothing.errors).toContain('there is nothing to tell')
    expect(nothing.code).toBe(1)
  })

  test('goes on where it was interrupted', async () => {
    const storage = await freshSqlite()
    const [, path = ''] = storage.split(':')
    const program = new Program('--storage', storage, '--declarations', '5000')
    while (!existsSync(path)) await delay(1)
    program.process.kill('SIGINT')
    expect(await program.ended).toMatchObject({ code: 130, errors: expect.stringContaining('interrupted; run it again to go on') })
    const { imported, declarations } = await report('--storage', storage, '--declarations', '5000')
    expect(imported.imported + imported.skipped).toBe(imported.position)
    expect(declarations).toBe(5_000)
  })

  test('looks back at any declaration, at any time', async () => {
    const storage = await freshSqlite()
    const { lookBack } = await report('--storage', storage, '--declarations', '20', '--declaration', '1000003', '--at', '2017-01-09T12:00Z')
    expect(lookBack.now.id).toBe('1000003')
    expect(lookBack.before.events).toBeLessThan(lookBack.now.events)
    const unknown = await new Program('--storage', storage, '--declarations', '20', '--declaration', 'none').ended
    expect(unknown).toMatchObject({ code: 2, errors: 'expenses: there is no declaration none\n' })
  })

  test('refuses what it does not understand in a sentence', async () => {
    const mistakes = [['--at', 'soon'], ['--declarations', '0'], ['--storage', 'mysql://host'], ['a', 'b'], ['--unknown']]
    for (const { code, errors } of await Promise.all(mistakes.map((args) => new Program(...args).ended))) {
      expect(errors).toMatch(/^expenses: [^\n]+\n$/)
      expect(code).toBe(2)
    }
  })
})

async function generated(declarations: number, seed = 1): Promise<string> {
  let text = ''
  for await (const piece of generateLog({ declarations, seed })) text += piece
  return text
}
