import type { RecordedEvent } from '../message/event.ts'
import type { LaneOptions } from './lane-options.ts'
import { LaneRun } from './lane-run.ts'
import type { MessageSource } from './message-source.ts'
import type { ActionTaker } from './action-watcher.ts'
import type { HandlerCaller } from './handler-call.ts'
import type { OperatorAction } from './operator-action.ts'
import type { ProcessingContext, Runner, Tenure } from './processor.ts'

/**
 * Runs a handler in lanes: messages of one key one after another, different keys beside each other. A message that fails waits aside, with all later ones of
 * its key behind it, while the others go on; how far the processor has come is never held up by it.
 */
export class LaneRunner implements Runner, ActionTaker {
  readonly #caller: HandlerCaller
  readonly #sourceFor: (tenure: Tenure) => Promise<MessageSource> | MessageSource
  readonly #options: LaneOptions
  readonly #context: ProcessingContext
  #current: { readonly run: LaneRun; readonly processor: string } | undefined
  #blockedAt: RecordedEvent | undefined

  constructor(
    caller: HandlerCaller,
    sourceFor: (tenure: Tenure) => Promise<MessageSource> | MessageSource,
    options: LaneOptions,
    context: ProcessingContext,
  ) {
    this.#caller = caller
    this.#sourceFor = sourceFor
    this.#options = options
    this.#context = context
  }

  take(action: OperatorAction): void {
    if (this.#current?.processor === action.processor) this.#current.run.act(action)
  }

  async run(tenure: Tenure): Promise<void> {
    const source = await this.#sourceFor(tenure)
    const run = await LaneRun.begin({
      caller: this.#caller,
      source,
      options: this.#options,
      context: this.#context,
      tenure,
      blockedAt: this.#blockedAt,
    })
    this.#current = { run, processor: tenure.lease.processor }
    try {
      this.#blockedAt = await run.run()
    } finally {
      this.#current = undefined
    }
  }
}
