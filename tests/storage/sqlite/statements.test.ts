import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, test } from 'vitest'

const sources = join(import.meta.dirname, '../../../src/storage/sqlite')

// SQLite tells nobody that it plans a statement again; it only takes twenty times as long.
test('no statement has a bare placeholder as its limit, for which SQLite would plan it again each time', async () => {
  // That of `limitTo` is the way around it.
  const names = (await readdir(sources)).filter((name) => name.endsWith('.ts') && name !== 'connection.ts')
  const texts = await Promise.all(names.map((name) => readFile(join(sources, name), 'utf8')))
  expect(texts.flatMap((text) => text.match(/limitTo\(/g) ?? []).length).toBeGreaterThan(4)
  expect(texts.flatMap((text) => text.match(/LIMIT (\?|\$).*/g) ?? [])).toEqual([])
})
