import { execFile } from 'node:child_process'
import { mkdir, readFile, symlink, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { expect, test } from 'vitest'
import { ended, freshDirectory, jsonLines, runCli, startNode } from './program.ts'

const repository = join(import.meta.dirname, '../..')

/** What `npm install` would bring, without a network: this repository as the package, and the packages that it is tested with itself. */
async function install(project: string): Promise<void> {
  const modules = join(project, 'node_modules')
  await mkdir(join(modules, '@types'), { recursive: true })
  await symlink(repository, join(modules, 'headwater'))
  for (const name of ['zod', '@types/node']) await symlink(join(repository, 'node_modules', name), join(modules, name))
}

test('the project that is written runs, passes its tests and its type check, and the command line knows it', async () => {
  const directory = await freshDirectory()
  const { exitCode, stdout } = await runCli(['init', 'My Bank!'], { cwd: directory })
  expect({ exitCode, stdout }).toEqual({ exitCode: 0, stdout: expect.stringContaining('cd My Bank! && npm install && npm start') })
  const project = join(directory, 'My Bank!')
  const manifest = JSON.parse(await readFile(join(project, 'package.json'), 'utf8')) as Readonly<Record<string, unknown>>
  expect(manifest).toMatchObject({
    name: 'my-bank',
    scripts: { start: 'node src/main.ts', test: 'node --test "test/**/*.test.ts"', typecheck: 'tsc' },
    dependencies: { headwater: expect.stringMatching(/^\^\d/), zod: expect.stringMatching(/^\^\d/) },
  })
  await install(project)

  const first = await ended(startNode(['src/main.ts'], { cwd: project }))
  expect(first).toMatchObject({ exitCode: 0, stdout: expect.stringContaining('ada has 75.00 after 2 movements\ngrace has 40.00') })
  const second = await ended(startNode(['src/main.ts'], { cwd: project }))
  expect(second).toMatchObject({ exitCode: 0, stdout: expect.stringContaining('ada has 150.00 after 4 movements\ngrace has 80.00') })

  const { NODE_TEST_CONTEXT: _context, ...env } = process.env
  const tested = await promisify(execFile)(process.execPath, ['--conditions=headwater-source', '--test', 'test/**/*.test.ts'], {
    cwd: project,
    env,
  })
  expect(tested.stdout).toMatch(/pass 2\n.*fail 0/s)
  const tsc = join(repository, 'node_modules/typescript/bin/tsc')
  await promisify(execFile)(process.execPath, [tsc, '-p', project, '--customConditions', 'headwater-source'])

  const run = (...args: string[]) => runCli(args, { cwd: project })
  expect(jsonLines((await run('log', '--json')).stdout)).toHaveLength(6)
  expect((await run('stream', 'account:ada', '--state', '--at', '1')).stdout).toBe('{\n  "balance": 10000\n}\n')
  expect(await run('projection', 'verify', 'balances')).toMatchObject({ exitCode: 0 })
  expect(await run('doctor')).toMatchObject({ exitCode: 0, stdout: expect.stringContaining('all is well') })
}, 120_000)

test('a directory that is not empty is left alone', async () => {
  const directory = await freshDirectory()
  await mkdir(join(directory, '.git'))
  await writeFile(join(directory, 'notes.txt'), 'mine')
  const { exitCode, stderr } = await runCli(['init'], { cwd: directory })
  expect({ exitCode, stderr }).toEqual({ exitCode: 2, stderr: expect.stringMatching(/is not empty: it has notes\.txt \[usage\]\n$/) })
})

test('the template is in the package', async () => {
  const { stdout } = await promisify(execFile)('npm', ['pack', '--dry-run', '--json', '--ignore-scripts'], { cwd: repository })
  const [packed] = JSON.parse(stdout) as readonly { readonly files: readonly { readonly path: string }[] }[]
  const paths = packed!.files.map(({ path }) => path).filter((path) => path.startsWith('src/cli/init/template/'))
  const { stdout: written } = await runCli(['init', '--json'], { cwd: await freshDirectory() })
  expect(paths).toHaveLength(jsonLines<{ files: readonly string[] }>(written)[0]!.files.length)
})
