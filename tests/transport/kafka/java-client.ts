import { execFile } from 'node:child_process'
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { fetchJars } from '../../../scripts/services/kafka.ts'
import { jars } from './broker.ts'

export interface JavaRecord {
  readonly topic: string
  readonly partition: number
  readonly offset: number
  readonly value: string
}

/** All records of the topics that are committed now, as Kafka's own client reads them, in the order of each partition. Takes some seconds. */
export async function readByJava(brokers: string, topics: readonly string[]): Promise<readonly JavaRecord[]> {
  const lines = (await run(brokers, 'read', ...topics)).split('\n').slice(0, -1)
  return lines.map((line) => {
    const [topic = '', partition, offset, ...value] = line.split(' ')
    return { topic, partition: Number(partition), offset: Number(offset), value: value.join(' ') }
  })
}

/** Writes the texts `0`, `1` … by Kafka's own client to a topic for each codec, compressed, each with its last digit as its key. Takes some seconds. */
export async function writeByJava(brokers: string, count: number, topics: ReadonlyMap<string, string>): Promise<void> {
  await run(brokers, 'write', String(count), ...[...topics].map(([codec, topic]) => `${codec}=${topic}`))
}

async function run(...args: readonly string[]): Promise<string> {
  if (!existsSync(jars)) fetchJars(jars)
  const program = join(import.meta.dirname, 'JavaClient.java')
  const options = { maxBuffer: 100 * 1024 * 1024, timeout: 120_000 }
  const { stdout } = await promisify(execFile)('java', ['-XX:TieredStopAtLevel=1', '-cp', join(jars, '*'), program, ...args], options)
  return stdout
}
