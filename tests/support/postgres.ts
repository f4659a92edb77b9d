import { describe, inject, test } from 'vitest'

declare module 'vitest' {
  interface TaskMeta {
    /** Why a suite did not run. Suites that carry it are named at the end of `npm test`. */
    leftOut?: string
  }
}

/** The PostgreSQL of this test run, on which tests may create databases, or undefined when it could not be started. */
export const postgresUrl = (): string | undefined => inject('databaseUrl')

/** A suite that needs PostgreSQL. Without one it is left out, by name; with HEADWATER_REQUIRE_ALL=1 the run fails before it comes to that. */
export function describeOnPostgres(name: string, suite: (url: string) => void): void {
  const url = postgresUrl()
  if (url !== undefined) describe(name, () => suite(url))
  else leaveOut(name, `no PostgreSQL: ${inject('databaseProblem') ?? 'unknown reason'}`)
}

export function leaveOut(name: string, reason: string): void {
  describe.skip(name, { meta: { leftOut: reason } }, () => {
    test(reason, () => {})
  })
}
