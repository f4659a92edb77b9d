import type { Command } from 'commander'
import { addRebuild } from './projection-rebuild.ts'
import { addVerify } from './projection-verify.ts'

export function addProjection(program: Command): void {
  const projection = program
    .command('projection')
    .helpCommand(false)
    .summary('rebuild or verify a read model')
    .description('Works on one read model of the service, whose definitions it needs: see --app.')
  addRebuild(projection)
  addVerify(projection)
}
