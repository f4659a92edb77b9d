import type { ActionTaker } from './action-watcher.ts'
import { refuseCheckpointBeyondLog } from './log-source.ts'
import type { OperatorAction } from './operator-action.ts'
import { prepareDeadLetters } from './operator-action.ts'
import type { Runner, Tenure } from './processor.ts'
import type { RelayParts } from './relay-run.ts'
import { RelayRun } from './relay-run.ts'

/**
 * Publishes the events of a topic from the log, of each key in their order, several calls beside each other; the checkpoint moves only past what the broker
 * has confirmed. After a crash, or when something could not be confirmed, some are published again, with the same ids; none is left out. An event that the
 * broker refuses for good is put aside as a dead letter.
 */
export class Relay implements Runner, ActionTaker {
  readonly #parts: RelayParts
  #current: { readonly run: RelayRun; readonly processor: string } | undefined

  constructor(parts: RelayParts) {
    this.#parts = parts
  }

  take(action: OperatorAction): void {
    if (this.#current?.processor === action.processor) this.#current.run.act(action)
  }

  async run(tenure: Tenure): Promise<void> {
    const { store } = this.#parts.context
    await refuseCheckpointBeyondLog(store, tenure.lease)
    await prepareDeadLetters(store)
    const run = new RelayRun(this.#parts, tenure)
    this.#current = { run, processor: tenure.lease.processor }
    try {
      await run.run()
    } finally {
      this.#current = undefined
    }
  }
}
