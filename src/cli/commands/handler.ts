import type { Command } from 'commander'
import { addReset } from './handler-reset.ts'

export function addHandler(program: Command): void {
  const handler = program
    .command('handler')
    .helpCommand(false)
    .summary('put a handler back or forward')
    .description('Works on one handler of the service, whose definition it needs: see --app.')
  addReset(handler)
}
