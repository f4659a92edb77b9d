import type { OxlintConfig, OxlintOverride } from 'oxlint'

/** The folders of src/, from top to bottom. A folder imports only from lines below its own; folders on one line do not know each other. */
const layers = [
  ['cli', 'console'],
  ['testing', 'conformance'],
  ['service'],
  ['saga'],
  ['projection'],
  ['aggregate'],
  ['processing'],
  ['transport'],
  ['storage'],
  ['schema'],
  ['observability'],
  ['message'],
]

/** Folders beneath a port, each for one database or broker. Only the command line chooses among them; everybody else is given one. */
const adapters = ['sqlite', 'postgres', 'kafka', 'rabbitmq', 'nats', 'sqs', 'log']

interface Restriction {
  regex: string
  message: string
}

const ownPackage: Restriction = { regex: '^headwater(/|$)', message: 'Inside src/ import the file itself, not the package.' }
const anyAdapter: Restriction = {
  regex: `(^|/)(${adapters.join('|')})/`,
  message: 'Core does not import an adapter, and adapters do not import each other.',
}
const folders = (names: string[]): Restriction => ({
  regex: `^\\.{1,2}/(\\.\\./)*(${names.join('|')})/`,
  message: 'Imports go downwards only: see `layers` in oxlint.config.ts.',
})

// Type-only and dynamic imports are held to the rule as well. A later override replaces an earlier one, so each carries all of its restrictions.
const restrict = (files: string[], patterns: Restriction[]): OxlintOverride => ({
  files,
  rules: { 'no-restricted-imports': ['error', { patterns }] },
})

const layerRules = layers.flatMap((line, index) => {
  const here = layers.slice(0, index + 1).flat()
  return line.map((folder) => {
    const upward = folders(here.filter((name) => name !== folder))
    return restrict([`src/${folder}/**`], folder === 'cli' ? [ownPackage, upward] : [ownPackage, anyAdapter, upward])
  })
})

export default {
  plugins: ['typescript', 'unicorn', 'oxc', 'import', 'promise', 'node'],
  categories: { correctness: 'error', suspicious: 'error' },
  ignorePatterns: ['node_modules', 'dist', 'coverage'],
  rules: {
    eqeqeq: 'error',
    'no-var': 'error',
    'prefer-const': 'error',
    'import/no-cycle': 'error',
    'typescript/consistent-type-imports': 'error',
    'typescript/no-explicit-any': 'error',
    'unicorn/prefer-node-protocol': 'error',
    // What TypeScript checks better, or what is a matter of taste.
    'consistent-return': 'off',
    'import/no-named-as-default-member': 'off',
    'import/no-unassigned-import': 'off',
    'promise/no-callback-in-promise': 'off',
    'typescript/no-unnecessary-type-parameters': 'off',
    'typescript/no-unsafe-type-assertion': 'off',
    'typescript/unbound-method': 'off',
    'unicorn/consistent-function-scoping': 'off',
    // Does not see what a closure changes.
    'no-unmodified-loop-condition': 'off',
  },
  overrides: [
    { files: ['src/**'], rules: { 'no-console': 'error' } },
    { files: ['src/cli/**'], rules: { 'no-console': 'off' } },
    // src/index.ts is the core: neither adapters nor what only tests and operators need.
    restrict(['src/*.ts'], [ownPackage, anyAdapter, folders(layers.slice(0, 2).flat())]),
    ...layerRules,
    restrict(['examples/**'], [{ regex: '(^|/)src/', message: "Examples import 'headwater', as its users do." }]),
  ],
} satisfies OxlintConfig
