import { defineConfig } from 'vitest/config'

export default defineConfig({
  // `import 'headwater/sqlite'` means src/, not dist/; the rest is what Node itself would ask for.
  ssr: { resolve: { conditions: ['headwater-source', 'node'] } },
  test: {
    include: ['tests/**/*.test.ts'],
    environment: 'node',
    pool: 'forks',
    globalSetup: 'tests/support/global-setup.ts',
    reporters: ['default', './tests/support/left-out.ts'],
    // A busy machine is no failure. Tests of time run on a virtual clock, so that only a test that hangs ever waits this long.
    testTimeout: 120_000,
    hookTimeout: 120_000,
  },
})
