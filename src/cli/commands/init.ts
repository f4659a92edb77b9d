import type { Command } from 'commander'
import { mkdir, readdir } from 'node:fs/promises'
import { relative, resolve } from 'node:path'
import { run } from '../command.ts'
import { UsageError } from '../exit-codes.ts'
import { writeProject } from '../init/write-project.ts'

export function addInit(program: Command): void {
  program
    .command('init [DIR]')
    .summary('write a small working project')
    .description('Writes a project with an aggregate, a read model and a test into DIR (default: this directory), which must be empty.')
    .action(
      run<unknown, readonly [string | undefined]>(async ({ output }, directory = '.') => {
        const path = resolve(directory)
        await mkdir(path, { recursive: true })
        const there = (await readdir(path)).filter((name) => name !== '.git')
        if (there.length > 0)
          throw new UsageError(`${path} is not empty: it has ${there.slice(0, 3).join(', ')}${there.length > 3 ? ' …' : ''}`)
        const files = await writeProject(path)
        const enter = relative('.', path)
        const next = `Now run:\n\n  ${enter === '' ? '' : `cd ${enter} && `}npm install && npm start`
        await output.say(`${files.map((file) => `  ${file}`).join('\n')}\n\n${next}`, { directory: path, files })
      }),
    )
}
