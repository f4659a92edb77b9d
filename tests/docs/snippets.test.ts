import { execFile } from 'node:child_process'
import { glob, mkdir, readFile, rm, writeFile } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { basename, dirname, join } from 'node:path'
import { promisify } from 'node:util'
import { expect, test } from 'vitest'

const root = join(import.meta.dirname, '../..')
const run = promisify(execFile)

/** The TypeScript of a page, as one module: later snippets go on where earlier ones ended. */
function snippetsOf(page: string): string {
  const imports = new Map<string, Set<string>>()
  const code = [...page.matchAll(/^```ts\n(.*?)^```$/gms)].map(([, snippet = '']) =>
    // Imports repeated for the reader's sake stand in the module once.
    snippet.replaceAll(/^import \{ (.+) \} from '(.+)'.*$/gm, (_line, names: string, from: string) => {
      const known = imports.get(from) ?? new Set()
      for (const name of names.split(', ')) known.add(name)
      imports.set(from, known)
      return ''
    }),
  )
  return [...[...imports].map(([from, names]) => `import { ${[...names].join(', ')} } from '${from}'`), ...code, 'export {}', ''].join('\n')
}

test('the code in the README and the docs compiles, and that of the README runs', async () => {
  // Beneath the repository, so that `headwater` is the package itself.
  const directory = join(root, '.snippets')
  await rm(directory, { recursive: true, force: true })
  await mkdir(directory)
  try {
    const files: string[] = []
    for await (const file of glob(['README.md', 'docs/*.md'], { cwd: root })) {
      const code = snippetsOf(await readFile(join(root, file), 'utf8'))
      const name = `${basename(file, '.md')}.ts`
      files.push(name)
      await writeFile(join(directory, name), code.replaceAll(/sqlite\('.*?'\)/g, "sqlite(':memory:')"))
    }
    const tsconfig = { extends: '../tsconfig.json', files, include: [] }
    await writeFile(join(directory, 'tsconfig.json'), JSON.stringify(tsconfig))
    const tsc = join(dirname(createRequire(import.meta.url).resolve('typescript/package.json')), 'bin/tsc')
    const { stdout } = await run(process.execPath, [tsc, '-p', directory, '--noEmit', '--pretty', 'false']).catch(
      (error: unknown) => error as { stdout: string },
    )
    expect(stdout).toBe('')
    const readme = await run(process.execPath, ['--conditions=headwater-source', join(directory, 'README.ts')])
    expect(readme.stdout).toContain("code: 'not-placed'")
    expect(readme.stdout).toContain("orderId: 'o-1'")
  } finally {
    await rm(directory, { recursive: true, force: true })
  }
})
