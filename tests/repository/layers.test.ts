import { spawnSync } from 'node:child_process'
import { cpSync, mkdirSync, mkdtempSync, readdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'

// A linter that reads no files, or whose globs match none, passes everything. So it is shown what it must refuse.

const repository = join(import.meta.dirname, '../..')
let house: string

beforeEach(() => {
  house = mkdtempSync(join(tmpdir(), 'headwater-layers-'))
  cpSync(join(repository, 'oxlint.config.ts'), join(house, 'oxlint.config.ts'))
  symlinkSync(join(repository, 'node_modules'), join(house, 'node_modules'), 'junction')
  const folders = ['message', 'storage', 'storage/sqlite', 'storage/postgres', 'service', 'testing', 'cli']
  for (const folder of folders) build(`src/${folder}/room.ts`)
  build('examples/shop.ts', 'headwater', 'headwater/sqlite')
})

afterEach(() => rmSync(house, { recursive: true, force: true }))

function build(file: string, ...imports: string[]): void {
  const lines = imports.map((path, index) => `export { room as room${index} } from '${path}'`)
  mkdirSync(dirname(join(house, file)), { recursive: true })
  writeFileSync(join(house, file), `${lines.join('\n')}\nexport const room: string = '${file}'\n`)
}

function lint(directory = house, paths = ['src', 'examples']): { files: number; findings: string[] } {
  const oxlint = join(repository, 'node_modules/oxlint/bin/oxlint')
  const run = spawnSync(process.execPath, [oxlint, '--type-aware', '--format=json', ...paths], { cwd: directory, encoding: 'utf8' })
  const report = JSON.parse(run.stdout) as { number_of_files: number; diagnostics: { code: string; filename: string }[] }
  return { files: report.number_of_files, findings: report.diagnostics.map(({ code, filename }) => `${filename}: ${code}`).toSorted() }
}

describe('the linter', () => {
  test('reads every file of src/ in this repository', () => {
    const sources = readdirSync(join(repository, 'src'), { recursive: true, encoding: 'utf8' }).filter((path) => path.endsWith('.ts'))
    expect(sources.length).toBeGreaterThan(0)
    expect(lint(repository, ['src']).files).toBe(sources.length)
  })

  test('allows imports that go downwards, from the command line to every adapter, and from examples to the package', () => {
    build('src/index.ts', './service/room.ts', './message/room.ts')
    build('src/service/below.ts', '../storage/room.ts', '../message/room.ts')
    build('src/storage/sqlite/below.ts', '../room.ts', './room.ts', '../../message/room.ts')
    build('src/testing/below.ts', '../service/room.ts')
    build('src/cli/below.ts', '../testing/room.ts', '../storage/sqlite/room.ts', '../storage/postgres/room.ts')
    expect(lint()).toEqual({ files: 13, findings: [] })
  })

  test.each([
    ['an import from a higher folder', 'src/message/planted.ts', '../service/room.ts'],
    ['an import from a higher folder out of an adapter', 'src/storage/sqlite/planted.ts', '../../service/room.ts'],
    ['the testing kit inside the core', 'src/service/planted.ts', '../testing/room.ts'],
    ['the testing kit in the main entry', 'src/index.ts', './testing/room.ts'],
    ['an adapter that imports another', 'src/storage/sqlite/planted.ts', '../postgres/room.ts'],
    ['an adapter in the core', 'src/service/planted.ts', '../storage/postgres/room.ts'],
    ['an adapter in its own port', 'src/storage/planted.ts', './sqlite/room.ts'],
    ['an adapter in the main entry', 'src/index.ts', './storage/sqlite/room.ts'],
    ['the package by its own name', 'src/service/planted.ts', 'headwater/sqlite'],
    ['the sources in an example', 'examples/planted.ts', '../src/service/room.ts'],
  ])('refuses %s', (_what, file, imported) => {
    build(file, imported)
    expect(lint().findings).toEqual([`${file}: eslint(no-restricted-imports)`])
  })

  test('refuses it in type imports and in import() too', () => {
    writeFileSync(
      join(house, 'src/message/planted.ts'),
      `import type { room } from '../service/room.ts'\nexport const later = (): Promise<{ room: typeof room }> => import('../service/room.ts')\n`,
    )
    expect(lint().findings).toEqual(Array(2).fill('src/message/planted.ts: eslint(no-restricted-imports)'))
  })

  test('refuses an import cycle', () => {
    build('src/service/left.ts', './right.ts')
    build('src/service/right.ts', './left.ts')
    expect(lint().findings).toEqual(['src/service/left.ts: import(no-cycle)', 'src/service/right.ts: import(no-cycle)'])
  })

  test('refuses a promise that nobody awaits, which only a linter that sees types can', () => {
    writeFileSync(
      join(house, 'src/service/planted.ts'),
      'const work = async (): Promise<void> => {}\nexport const run = (): void => {\n  work()\n}\n',
    )
    expect(lint().findings).toEqual(['src/service/planted.ts: typescript(no-floating-promises)'])
  })
})
