import { aborted } from '../message/aborted.ts'
import { InvalidDefinitionError } from '../message/errors.ts'
import { describeError } from '../observability/log.ts'
import type { ProcessorInfo } from '../storage/port.ts'
import type { ActionTaker } from './action-watcher.ts'
import type { LaneRunner } from './lane-runner.ts'
import type { OperatorAction } from './operator-action.ts'
import type { ProcessingContext, ProcessorStatus } from './processor.ts'
import { Processor } from './processor.ts'
import type { StartPosition } from './start-position.ts'

export interface ShardedProcessorParts {
  readonly name: string
  readonly shards: number
  readonly startAt: StartPosition
  readonly context: ProcessingContext
  /** What handles the messages whose keys belong to the shard. */
  runnerFor(shard: number): LaneRunner
}

interface Running {
  readonly processor: Processor
  readonly runner: LaneRunner
}

/**
 * A handler of the log in shards by key, each a processor with a lease and a checkpoint of its own. The processes of a service share them evenly: each knows
 * by leases who else is there, takes no more than its share, and gives back what is above it when somebody comes. A key belongs to one shard
 * for ever, and a shard to one process at a time, so that nothing is overtaken.
 */
export class ShardedProcessor implements ActionTaker {
  readonly #parts: ShardedProcessorParts
  readonly #running = new Map<string, Running>()
  readonly #stopping = new AbortController()
  #sharing: Promise<void> | undefined

  constructor(parts: ShardedProcessorParts) {
    this.#parts = parts
  }

  get statuses(): readonly ProcessorStatus[] {
    return [...this.#running.values()].map(({ processor }) => processor.status)
  }

  take(action: OperatorAction): void {
    for (const { runner } of this.#running.values()) runner.take(action)
  }

  async start(): Promise<void> {
    this.#sharing = this.#share()
  }

  async stop(): Promise<void> {
    this.#stopping.abort()
    await this.#sharing
    await Promise.all([...this.#running.values()].map(({ processor }) => processor.stop()))
  }

  async #share(): Promise<void> {
    const { context, name } = this.#parts
    const { clock, log } = context.store.environment
    const presence = `${presenceOf(name)}${context.leases.owner}`
    const member = new Processor({ name: presence, runner: { run: ({ signal }) => aborted(signal) }, startAt: 'beginning' }, context)
    member.start()
    while (!this.#stopping.signal.aborted) {
      await this.#balance().catch((error: unknown) =>
        log('warn', 'shards could not be shared out', { processor: name, error: describeError(error) }),
      )
      await clock.sleep(context.leases.ttlMs / 4, this.#stopping.signal)
    }
    await member.stop()
    await context.store.driver.processors.remove(presence).catch(() => undefined)
  }

  async #balance(): Promise<void> {
    const { context, name, shards } = this.#parts
    const { processors } = context.store.driver
    const all = await processors.list()
    const members = all.filter(({ processor }) => processor.startsWith(presenceOf(name)))
    for (const { processor, owner } of members)
      if (owner === undefined && !processor.endsWith(context.leases.owner)) await processors.remove(processor)
    const share = Math.ceil(shards / Math.max(1, members.filter(({ owner }) => owner !== undefined).length))
    await this.#stopSome(share)
    const held = new Map(all.map(({ processor, owner }): [string, ProcessorInfo['owner']] => [processor, owner]))
    for (const shard of this.#names.filter((candidate) => held.get(candidate) === undefined && !this.#running.has(candidate))) {
      if (this.#running.size >= share || this.#stopping.signal.aborted) return
      this.#start(shard)
    }
  }

  /** Gives up what somebody else has taken first, and what is above the share. */
  async #stopSome(share: number): Promise<void> {
    const standby = [...this.#running].filter(([, { processor }]) => processor.status.state === 'standby')
    const others = [...this.#running].filter(([, { processor }]) => processor.status.state !== 'standby')
    for (const [shard, { processor }] of [...standby, ...others.slice(share)]) {
      await processor.stop()
      this.#running.delete(shard)
    }
  }

  #start(shard: string): void {
    const { context, startAt, runnerFor } = this.#parts
    const runner = runnerFor(this.#names.indexOf(shard))
    const processor = new Processor({ name: shard, runner, startAt }, context)
    this.#running.set(shard, { processor, runner })
    processor.start()
  }

  get #names(): readonly string[] {
    return shardNames(this.#parts.name, this.#parts.shards)
  }
}

/**
 * A key whose shard changed would be handled again from the beginning, or not at all.
 * @throws InvalidDefinitionError when the processor has run with another number of shards
 */
export function refuseOtherShards(name: string, shards: number, known: readonly ProcessorInfo[]): void {
  const ours = shardNames(name, shards)
  const stranger = known.find(({ processor }) => isOf(processor, name) && !ours.includes(processor))
  if (!stranger) return
  throw new InvalidDefinitionError(
    `${name} cannot have ${shards === 1 ? 'no' : shards} shards: it has run as ${stranger.processor}, and its number of shards is fixed since then`,
  )
}

/** The processors of a handler of the log: itself, or its shards. */
export function shardNames(name: string, shards: number): readonly string[] {
  if (shards === 1) return [name]
  return Array.from({ length: shards }, (_, shard) => `${name}#${shard + 1}/${shards}`)
}

function isOf(processor: string, name: string): boolean {
  return processor === name || (processor.startsWith(`${name}#`) && !processor.startsWith(presenceOf(name)))
}

function presenceOf(name: string): string {
  return `${name}#member:`
}
