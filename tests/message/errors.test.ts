import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { HeadwaterError, InvalidCloudEventError, InvalidDefinitionError, InvalidMessageError } from '../../src/message/errors.ts'

const repository = join(import.meta.dirname, '../..')

interface Found {
  readonly className: string
  readonly parent: string
  readonly code: string | undefined
  readonly file: string
}

/** Every class of errors in a source text, whether exported or not. */
function errorClasses(source: string, file: string): readonly Found[] {
  const classes = [...source.matchAll(/^(?:export )?(?:default )?(?:abstract )?class (\w+)(?: extends (\w+))?/gm)]
  return classes.flatMap(({ 1: className = '', 2: parent = '', index }, nth) => {
    if (!className.endsWith('Error') && !parent.endsWith('Error')) return []
    const body = source.slice(index, classes[nth + 1]?.index)
    return [{ className, parent, code: /^ {2}(?:override )?readonly code(?:: string)? = '([^']*)'/m.exec(body)?.[1], file }]
  })
}

const sources = readdirSync(join(repository, 'src'), { recursive: true, encoding: 'utf8' }).filter((path) => path.endsWith('.ts'))
const classes = sources
  .flatMap((path) => errorClasses(readFileSync(join(repository, 'src', path), 'utf8'), path))
  .filter(({ className }) => className !== 'HeadwaterError')

describe('the errors of src/', () => {
  test('are found', () => {
    expect(classes.map(({ className }) => className)).toEqual(
      expect.arrayContaining(['InvalidMessageError', 'VersionConflictError', 'UnknownEventError', 'TooManyConflictsError']),
    )
    const source = `export class AError extends Error {}\nclass B extends AError {\n  readonly code = 'b'\n}\nexport class Other {}`
    expect(errorClasses(source, 'x.ts')).toEqual([
      { className: 'AError', parent: 'Error', code: undefined, file: 'x.ts' },
      { className: 'B', parent: 'AError', code: 'b', file: 'x.ts' },
    ])
  })

  test.each(classes)('$className ($file) is a HeadwaterError with a code', ({ className, parent, code }) => {
    expect(className).toMatch(/^[A-Z]\w*Error$/)
    expect(parent === 'HeadwaterError' || classes.some((other) => other.className === parent)).toBe(true)
    expect(code).toMatch(/^[a-z]+(-[a-z]+)*$/)
  })

  test('have codes and names of their own', () => {
    expect(repeated(classes.map(({ code }) => code))).toEqual([])
    expect(repeated(classes.map(({ className }) => className))).toEqual([])
  })

  test('are all in docs/errors.md, with when they happen and what to do, and nothing else is', () => {
    const page = readFileSync(join(repository, 'docs/errors.md'), 'utf8')
    const rows = [...page.matchAll(/^\| `([^`]+)` \| `([^`]+)` \| (.+) \| (.+) \|$/gm)].map(([, code, className, when, what]) => {
      expect(when!.length, `when ${code} happens`).toBeGreaterThan(20)
      expect(what!.length, `what to do about ${code}`).toBeGreaterThan(10)
      return `${code} ${className}`
    })
    expect(rows.toSorted()).toEqual(classes.map(({ code, className }) => `${code} ${className}`).toSorted())
    // Each row was read: a table line that the pattern passes over would hide an error.
    expect(page.match(/^\| `/gm)?.length).toBe(rows.length)
  })
})

describe('a HeadwaterError', () => {
  test('is an error with a name, a code and what caused it', () => {
    const cause = new Error('beneath')
    const error = new InvalidDefinitionError('two handlers', { cause })
    expect(error).toBeInstanceOf(HeadwaterError)
    expect(error).toBeInstanceOf(Error)
    expect(error).toMatchObject({ name: 'InvalidDefinitionError', code: 'invalid-definition', message: 'two handlers', cause })
    expect(String(error)).toBe('InvalidDefinitionError: two handlers')
    expect(error.stack).toContain('errors.test.ts')
  })

  test('has no cause that nobody gave', () => {
    expect(Object.hasOwn(new InvalidDefinitionError('x'), 'cause')).toBe(false)
  })

  test('tells what is wrong where', () => {
    const issues = [
      { path: 'items.0.count', message: 'is no number' },
      { path: '', message: 'is too small' },
    ]
    expect(new InvalidMessageError('OrderPlaced', issues)).toMatchObject({
      message: 'OrderPlaced: items.0.count: is no number; (root): is too small',
      issues,
    })
    expect(new InvalidCloudEventError('id', 'is missing')).toMatchObject({ message: 'id is missing', attribute: 'id' })
  })
})

function repeated<T>(values: readonly T[]): readonly T[] {
  return values.filter((value, index) => values.indexOf(value) !== index)
}
