// A process that appends to a store without pause, and says on its standard output what has been acknowledged: `ready` when the store is
// open, then one line `<position> <id of the event> …` for each write set. Ends after the given number of commits, if any.
import { writeSync } from 'node:fs'
import { appending, events } from '../../../src/conformance/storage/write-sets.ts'
import { postgres } from '../../../src/storage/postgres/index.ts'

const [url = '', schema = '', name = '', commits = 'Infinity'] = process.argv.slice(2)
const driver = await postgres(url, { schema, poolSize: 2 }).open({ migrate: true })
// Synchronously, so that what has been acknowledged is known outside even if this process is killed right afterwards.
const say = (line: string) => writeSync(1, `${line}\n`)
say('ready')

for (let round = 0; round < Number(commits); round++) {
  const sets = Array.from({ length: 1 + (round % 4) }, (_, index) =>
    appending(index === 0 ? 'shared:1' : `own:${name}-${round}-${index}`, 'any', events(1 + ((round + index) % 3))),
  )
  const verdicts = await driver.commit(sets)
  for (const [index, verdict] of verdicts.entries()) {
    if (verdict.status !== 'committed') throw new Error(`refused: ${JSON.stringify(verdict)}`)
    driver.announce(verdict.position)
    say(`${verdict.firstPosition} ${sets[index]!.appends[0]!.events.map(({ id }) => id).join(' ')}`)
  }
}
await driver.close()
