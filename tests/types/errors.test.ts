import { spawnSync } from 'node:child_process'
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'

// What the compiler says about mistakes is part of the API. The files in errors/ are full of them: above each wrong line stands
// `// expect TS1234: a part of the message`, once for each error that the compiler must report there, and it must report no other.

const repository = join(import.meta.dirname, '../..')
const path = 'tests/types/errors/'
const folder = join(repository, path)

interface Diagnostic {
  /** The file's name and line. */
  readonly place: string
  readonly code: string
  readonly message: string
}

const files = readdirSync(folder).filter((file) => file.endsWith('.ts'))
const expected = files.flatMap((file) => expectations(file, readFileSync(join(folder, file), 'utf8')))
const reported = compile()

function compile(): readonly Diagnostic[] {
  const tsc = join(repository, 'node_modules/typescript/bin/tsc')
  const options = ['--project', folder, '--pretty', 'false']
  const { stdout, stderr, error } = spawnSync(process.execPath, [tsc, ...options], { cwd: repository, encoding: 'utf8' })
  if (error || stderr) throw new Error(`tsc did not run: ${stderr}`, { cause: error })
  // Errors elsewhere are `npm run typecheck`'s to report.
  return parse(stdout).filter(({ place }) => place.startsWith(path))
}

/** `path(line,column): error TS1234: message`, with further lines of the message indented below. */
function parse(output: string): readonly Diagnostic[] {
  return [...output.matchAll(/^([^\s(][^(\n]*)\((\d+),\d+\): error (TS\d+): (.*(?:\n[ \t].*)*)/gm)].map(
    ([, file, line, code = '', message = '']) => ({
      place: `${file}:${line}`,
      code,
      message: message.replaceAll(/\s+/g, ' '),
    }),
  )
}

function expectations(file: string, source: string): readonly Diagnostic[] {
  const lines = source.split('\n')
  const isComment = (line: string | undefined): boolean => line?.trimStart().startsWith('// expect ') === true
  return lines.flatMap((line, index) => {
    if (!isComment(line)) return []
    const found = /^\s*\/\/ expect (TS\d+): (.+)$/.exec(line)
    if (!found) throw new Error(`${file}:${index + 1} must read  // expect TS1234: a part of the message`)
    const wrong = lines.findIndex((later, at) => at > index && !isComment(later))
    return [{ place: `${path}${file}:${wrong + 1}`, code: found[1]!, message: found[2]! }]
  })
}

describe('the compiler', () => {
  test('has read every file', () => {
    expect(expected.length).toBeGreaterThan(80)
    expect([...new Set(reported.map(({ place }) => place.split(':')[0] ?? ''))].toSorted()).toEqual(
      files.map((file) => path + file).toSorted(),
    )
  })

  test.each(expected)('says $code at $place: $message', ({ place, code, message }) => {
    expect(reported.filter((diagnostic) => diagnostic.place === place)).toContainEqual({
      place,
      code,
      message: expect.stringContaining(message) as string,
    })
  })

  test('says nothing else', () => {
    const left = [...expected]
    const unexpected = reported.filter(({ place, code, message }) => {
      const at = left.findIndex((wanted) => wanted.place === place && wanted.code === code && message.includes(wanted.message))
      if (at >= 0) left.splice(at, 1)
      return at < 0
    })
    expect(unexpected).toEqual([])
    expect(left).toEqual([])
  })

  test('calls mistakes by no name that would mislead', () => {
    expect(reported.filter(({ message }) => message.includes('exactOptionalPropertyTypes'))).toEqual([])
  })
})
