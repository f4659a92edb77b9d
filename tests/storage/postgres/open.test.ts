import { expect, test, vi } from 'vitest'
import { appending } from '../../../src/conformance/storage/write-sets.ts'
import { InvalidDefinitionError } from '../../../src/message/errors.ts'
import {
  MissingPackageError,
  StorageError,
  StoreClosedError,
  StoreUnavailableError,
  UnsupportedStoreError,
} from '../../../src/storage/errors.ts'
import type { PostgresOptions, PostgresPool } from '../../../src/storage/postgres/index.ts'
import { postgres } from '../../../src/storage/postgres/index.ts'
import { freshSchema } from '../../support/stores.ts'
import { describeOnPostgres } from '../../support/postgres.ts'
import { commitOne, committed, connect, open, poolWith, schemaFor, wholeLog } from './support.ts'

describeOnPostgres('opening a store', (url) => {
  const password = 'a-secret'
  const withPassword = (address: string): string => Object.assign(new URL(address), { password }).href

  /** Why a store is not opened. Nothing that is said may hold the password. */
  async function refusal(connection: string | PostgresPool, options: PostgresOptions, migrate = true): Promise<Error> {
    const error = await postgres(connection, options)
      .open({ migrate })
      .then(
        async (driver) => driver.close().then(() => new Error('it was opened')),
        (thrown: unknown) => thrown,
      )
    if (!(error instanceof Error)) throw new Error('not an error')
    expect(`${error.message}${error.stack}${JSON.stringify(error)}`).not.toContain(password)
    return error
  }

  test('does not make one unless it may, and names the command that does', async () => {
    const admin = await connect(url)
    const username = freshSchema()
    await admin.query(`create role ${username} login password '${password}'`)
    const { host, pathname } = new URL(url)
    const error = await refusal(withPassword(Object.assign(new URL(url), { username }).href), { schema: freshSchema() }, false)
    await admin.query(`drop role ${username}`)
    expect(error).toBeInstanceOf(UnsupportedStoreError)
    expect(error.message).toMatch(/is not there yet: run {2}headwater migrate --storage postgres:\/\//)
    expect(error.message).toContain(`--storage postgres://${username}@${host}${pathname}`)
  })

  test('opens one that is there without the right to migrate', async () => {
    const schema = schemaFor(url)
    committed(await commitOne(await open(url, { schema }), appending('order:1')))
    const driver = await postgres(url, { schema }).open({ migrate: false })
    expect(await wholeLog(driver)).toHaveLength(1)
    await driver.close()
  })

  test('refuses one that has become too new for this program', async () => {
    const schema = schemaFor(url)
    await open(url, { schema })
    const somebody = await connect(url)
    // As a later program leaves it that this one may still work with …
    await somebody.query(`update ${schema}.store set schema_version = 7`)
    await open(url, { schema })
    // … and one that it may not.
    await somebody.query(`update ${schema}.store set least_writer_version = 7`)
    for (const migrate of [true, false]) {
      const error = await refusal(url, { schema }, migrate)
      expect(error).toBeInstanceOf(UnsupportedStoreError)
      expect(error.message).toMatch(/has the version 7, .* update headwater$/)
    }
  })

  test('refuses one that is older when it may not migrate', async () => {
    const schema = schemaFor(url)
    await open(url, { schema })
    await (await connect(url)).query(`update ${schema}.store set schema_version = 0`)
    expect((await refusal(url, { schema }, false)).message).toMatch(/is of an older version: run {2}headwater migrate/)
  })

  test('says what a role may not do', async () => {
    const schema = schemaFor(url)
    await open(url, { schema })
    const admin = await connect(url)
    const role = freshSchema()
    await admin.query(`create role ${role} nologin`)
    const pool = poolWith(url, `-c role=${role}`)
    try {
      const cannotSee = await refusal(pool, { schema }, false)
      expect(cannotSee).toBeInstanceOf(UnsupportedStoreError)
      expect(cannotSee.message).toMatch(/permission denied for schema/)

      const cannotMake = await refusal(pool, { schema: freshSchema() })
      expect(cannotMake).toBeInstanceOf(UnsupportedStoreError)
      expect(cannotMake.message).toMatch(/permission denied for database .* headwater migrate/)

      await admin.query(
        `grant usage on schema ${schema} to ${role}; grant select, update, delete on all tables in schema ${schema} to ${role}`,
      )
      const cannotWrite = await refusal(pool, { schema }, false)
      expect(cannotWrite).toBeInstanceOf(UnsupportedStoreError)
      expect(cannotWrite.message).toMatch(
        new RegExp(`the role ${role} may not use the store .*missing: INSERT on .*events.*: GRANT SELECT`),
      )

      await admin.query(
        `grant insert on all tables in schema ${schema} to ${role}; grant usage on all sequences in schema ${schema} to ${role}`,
      )
      const driver = await postgres(pool, { schema }).open({ migrate: false })
      committed(await commitOne(driver, appending('order:1')))
      expect(await driver.processors.claim({ processor: 'p', owner: 'me', ttlMs: 1, startAt: 0 })).toMatchObject({ claimed: true })
      await driver.close()
    } finally {
      await admin.query(`drop owned by ${role}; drop role ${role}`)
    }
  })

  test('refuses servers that cannot keep the promises', async () => {
    const pool = poolWith(url)
    // What the server says of itself, as another one would.
    const saying = (column: number, value: string): PostgresPool => ({
      connect: () => pool.connect(),
      async query(query) {
        const result = await pool.query(query)
        if (query.text.includes('server_version_num')) (result.rows as string[][])[0]![column] = value
        return result
      },
    })
    const problems = {
      'PostgreSQL 14 or newer is needed': [1, '13'],
      'encoding of the database is SQL_ASCII': [2, 'SQL_ASCII'],
      'fsync is off': [3, 'off'],
      'read-only replica': [4, 't'],
    } as const
    for (const [problem, [column, value]] of Object.entries(problems)) {
      const error = await refusal(saying(column, value), { schema: freshSchema() })
      expect(error).toBeInstanceOf(UnsupportedStoreError)
      expect(error.message).toContain(problem)
    }
  })

  test('says where nobody answers, and which database is not there', async () => {
    const unreachable = await refusal(withPassword('postgres://me@127.0.0.1:1/shop'), {})
    expect(unreachable).toBeInstanceOf(StoreUnavailableError)
    expect(unreachable.message).toMatch(/^postgres:\/\/me@127\.0\.0\.1:1\/shop cannot be reached: .*ECONNREFUSED/)
    const unknown = await refusal(Object.assign(new URL(url), { pathname: '/no_such_database' }).href, {})
    expect(unknown).toBeInstanceOf(StorageError)
    expect(unknown.message).toMatch(/no_such_database.* does not exist/)
  })

  test('bears names of schemas that must be quoted, and refuses strange ones', async () => {
    const client = await connect(url)
    const schema = `Order-Service_${freshSchema()}`
    try {
      const driver = await open(url, { schema })
      await driver.documents.create({ id: 'd@1.1', projection: 'd', version: 1, indexed: ['f'], searchable: true })
      await driver.documents.index('d@1.1')
      const document = { collection: 'd@1.1', key: 'k', document: '{}', fields: ['x'], words: 'one two' }
      committed(await commitOne(driver, { appends: [], documents: [document] }))
      expect(await driver.documents.find('d@1.1', { where: [], words: ['tw'], sort: [], limit: 1 })).toHaveLength(1)
      committed(await commitOne(driver, appending('order:1')))
      expect(await driver.processors.claim({ processor: 'p', owner: 'me', ttlMs: 1, startAt: 0 })).toMatchObject({ claimed: true })
      expect(await driver.readLog({ after: 0, limit: 1, types: ['Happened'] })).toHaveLength(1)
      const borrowed = await open(poolWith(url), { schema })
      committed(await commitOne(borrowed, appending('order:1', 1)))
      await borrowed.documents.drop('d@1.1', 'p')
    } finally {
      await client.query(`drop schema if exists ${client.escapeIdentifier(schema)} cascade`)
    }
    for (const strange of ['', 'a"b', "a'b", 'a$1', '1st', 'a b', 'x'.repeat(64)])
      expect(() => postgres(url, { schema: strange })).toThrow(InvalidDefinitionError)
  })

  test('answers with a clear error once it is closed', async () => {
    const schema = schemaFor(url)
    for (const connection of [url, poolWith(url)]) {
      const driver = await postgres(connection, { schema }).open({ migrate: true })
      await driver.close()
      await driver.close()
      await expect(commitOne(driver, appending('order:1'))).rejects.toThrow(StoreClosedError)
      await expect(driver.log()).rejects.toThrow(StoreClosedError)
      await expect(driver.transaction(async () => 1)).rejects.toThrow(StoreClosedError)
    }
  })

  test('says what to install when pg is missing', async () => {
    vi.doMock('pg', () => {
      throw new Error("Cannot find package 'pg'")
    })
    try {
      const error = await refusal(url, {})
      expect(error).toBeInstanceOf(MissingPackageError)
      expect(error.message).toBe('the PostgreSQL storage needs the package pg: npm install pg')
    } finally {
      vi.doUnmock('pg')
    }
  })
})
