import type { AnyAggregate } from '../aggregate/aggregate.ts'
import type { AnyCommandHandler } from '../aggregate/command-handler.ts'
import type { CommandContext, CommandOptions, ReadModelWrites } from '../aggregate/handle-command.ts'
import { handleCommand } from '../aggregate/handle-command.ts'
import { runCommandHandler } from '../aggregate/run-command-handler.ts'
import { SnapshotWriter } from '../aggregate/snapshot-writer.ts'
import { Turns } from '../aggregate/turns.ts'
import type { AnyCommand } from '../message/command.ts'
import { HeadwaterError } from '../message/errors.ts'
import type { Accepted, Rejected } from '../message/outcome.ts'
import type { EventStore } from '../storage/event-store.ts'
import type { Service } from './service.ts'

/** No aggregate or command handler of the service handles the command. */
export class UnknownCommandError extends HeadwaterError {
  readonly code = 'unknown-command'
}

/** Finds the one handler of a command and has it carried out. */
export class CommandBus {
  readonly snapshots: SnapshotWriter
  readonly #service: string
  readonly #store: EventStore
  readonly #context: CommandContext
  readonly #aggregates = new Map<string, AnyAggregate>()
  readonly #handlers = new Map<string, AnyCommandHandler>()

  constructor({ name, parts }: Service<string, string, string>, store: EventStore, readModelWrites: ReadModelWrites | undefined) {
    this.#service = name
    this.#store = store
    this.snapshots = new SnapshotWriter(store)
    this.#context = { store, snapshots: this.snapshots, readModelWrites, turns: new Turns() }
    for (const aggregate of parts.aggregates) for (const type of Object.keys(aggregate.commands)) this.#aggregates.set(type, aggregate)
    for (const handler of parts.commandHandlers) this.#handlers.set(handler.command.type as string, handler)
  }

  async send(command: AnyCommand, data: unknown, options: CommandOptions): Promise<Accepted | Rejected> {
    const { metrics } = this.#store.environment
    const startedMs = performance.now()
    let outcome = 'failed'
    try {
      const result = await this.#dispatch(command, data, options)
      outcome = result.ok ? 'accepted' : 'rejected'
      return result
    } finally {
      metrics.count('headwater_commands_total', 1, { command: command.type, outcome })
      metrics.duration('headwater_command_duration_ms', performance.now() - startedMs, { command: command.type })
    }
  }

  #dispatch(command: AnyCommand, data: unknown, options: CommandOptions): Promise<Accepted | Rejected> {
    const aggregate = this.#aggregates.get(command.type)
    if (aggregate) return handleCommand(this.#context, aggregate, command, data, options)
    const handler = this.#handlers.get(command.type)
    if (handler) return runCommandHandler(this.#store, handler, data, options)
    throw new UnknownCommandError(`the service ${this.#service} handles no command ${command.type}`)
  }
}
