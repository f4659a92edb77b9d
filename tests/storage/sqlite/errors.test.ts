import { describe, expect, test } from 'vitest'
import { Connection } from '../../../src/storage/sqlite/connection.ts'
import { isTransient, translate } from '../../../src/storage/sqlite/errors.ts'

describe("SQLite's errors say what to do", () => {
  test.for<[string, string, string, RegExp]>([
    ['a file that is read-only', 'PRAGMA query_only = TRUE; INSERT INTO t VALUES (1)', 'unsupported-store', /shop\.db cannot be written/],
    ['a full disk', 'PRAGMA max_page_count = 2; INSERT INTO t VALUES (zeroblob(100000))', 'storage', /no space left for shop\.db/],
    ['anything else', 'INSERT INTO missing VALUES (1)', 'storage', /SQLite refused: no such table: missing/],
  ])('%s', ([, script, code, message]) => {
    const connection = new Connection(':memory:')
    connection.execute('CREATE TABLE t (a)')
    const cause = errorOf(() => connection.execute(script))
    const error = translate(cause, 'shop.db')
    expect(error).toMatchObject({ code, message: expect.stringMatching(message), cause })
    expect(isTransient(error)).toBe(false)
    connection.close()
  })

  test('other errors stay what they are', () => {
    const error = new TypeError('x')
    expect(translate(error, 'shop.db')).toBe(error)
  })
})

function errorOf(work: () => void): unknown {
  try {
    work()
  } catch (error) {
    return error
  }
  throw new Error('nothing was thrown')
}
