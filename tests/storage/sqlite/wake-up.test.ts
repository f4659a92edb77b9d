import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { watch } from 'node:fs'
import { rm, stat, utimes, writeFile } from 'node:fs/promises'
import { basename, dirname } from 'node:path'
import { setImmediate as nextTurn } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { expect, onTestFinished, test } from 'vitest'
import { Announcer, watchCommits } from '../../../src/storage/sqlite/wake-up.ts'
import { eventually } from '../../support/eventually.ts'
import { open, startAppender, temporaryFile } from './support.ts'
import { appending } from './write-sets.ts'

test('another process wakes those who listen, and only when it has appended', async () => {
  const file = await temporaryFile()
  const driver = await open(file)
  const heads: number[] = []
  const stop = await driver.listen(() => void driver.log().then(({ head }) => heads.push(head)))
  const { acknowledged, ended } = startAppender(file, 'a', 20)
  expect((await ended).code).toBe(0)
  await eventually(() => expect(Math.max(...heads)).toBe(acknowledged.size))
  await stop()
})

test('own appends do not wake', async () => {
  const file = await temporaryFile()
  const driver = await open(file)
  let calls = 0
  const stop = await driver.listen(() => calls++)
  const touched = watch(dirname(file))
  for (let index = 0; index < 10; index++) {
    await driver.commit([appending('order:1', [`e-${index}`])])
    const isTouched = new Promise<void>((resolve) => touched.on('change', (_, name) => name === basename(file) && resolve()))
    driver.announce(index + 1)
    await isTouched
    // The listener was told of the same change, and looks in the next turn at the latest.
    await nextTurn()
    await nextTurn()
  }
  expect(calls).toBe(0)
  touched.close()
  await stop()
})

test('the watched file may be removed and made again', async () => {
  const file = await temporaryFile()
  let [head, calls] = [0, 0]
  const stop = watchCommits({ file, readHead: () => head, ownHead: () => 0, onCommit: () => calls++ })
  onTestFinished(stop)
  for (let round = 1; round <= 3; round++) {
    await writeFile(file, '')
    head = round
    new Announcer(file).announce()
    await eventually(() => expect(calls).toBe(round))
    await rm(file)
  }
})

test('however often is announced, the file is touched once in 5 ms', async () => {
  const file = await temporaryFile()
  await writeFile(file, '')
  let touches = 0
  const touched = watch(dirname(file), (_, name) => name === basename(file) && touches++)
  const announcer = new Announcer(file)
  const startedMs = performance.now()
  while (performance.now() - startedMs < 100) {
    announcer.announce()
    await nextTurn()
  }
  await announcer.close()
  const elapsedMs = performance.now() - startedMs
  touched.close()
  expect(touches).toBeGreaterThan(0)
  // The first, one after each pause, and the one for which closing does not wait. A pause of 5 ms may be over after 4.
  expect(touches).toBeLessThanOrEqual(elapsedMs / 4 + 2)
})

test('what was announced a moment before closing is told', async () => {
  const file = await temporaryFile()
  await writeFile(file, '')
  const announcer = new Announcer(file)
  const wasTouched = async () => (await stat(file)).mtimeMs > 0
  await utimes(file, 0, 0)
  announcer.announce()
  await eventually(async () => expect(await wasTouched()).toBe(true))
  await utimes(file, 0, 0)
  announcer.announce()
  await announcer.close()
  expect(await wasTouched()).toBe(true)
})

test('listening does not keep a process alive', async () => {
  const script = fileURLToPath(new URL('listener.ts', import.meta.url))
  const child = spawn(process.execPath, ['--conditions=headwater-source', script, await temporaryFile()], { stdio: 'inherit' })
  onTestFinished(() => void child.kill('SIGKILL'))
  expect(await once(child, 'exit')).toEqual([0, null])
})
