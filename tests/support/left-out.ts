import type { Reporter, TestModule } from 'vitest/node'

/** Names, at the end of a run, the suites that could not run on this machine and how to run them: left out must not look like passed. */
export default class LeftOut implements Reporter {
  onTestRunEnd(modules: ReadonlyArray<TestModule>): void {
    const suites = modules.flatMap((module) =>
      [...module.children.allSuites()].flatMap((suite) => {
        const reason = suite.meta().leftOut
        return reason === undefined ? [] : [{ name: `${module.relativeModuleId} > ${suite.fullName}`, reason }]
      }),
    )
    if (suites.length === 0) return
    const reasons = new Set(suites.map((suite) => suite.reason))
    process.stdout.write(
      [
        `\nLeft out, not passed (${suites.length}):`,
        ...suites.map((suite) => `  ${suite.name}`),
        'Because:',
        ...[...reasons].map((reason) => `  ${reason.trim().replaceAll('\n', '\n    ')}`),
        'For PostgreSQL name a server: DATABASE_URL=postgres://user:password@host/database npm test',
        'HEADWATER_REQUIRE_ALL=1 makes leaving out a failure.\n\n',
      ].join('\n'),
    )
  }
}
