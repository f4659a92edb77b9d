import type { ReadModel } from '../projection/read-model.ts'

/** At most so often a query is answered again for one watcher. */
const minimumPauseMs = 20
/** How often to look when another process keeps up the read model. */
const pollMs = 250

/**
 * The answer of a query, and again whenever the read model has changed and the answer with it. The first one comes
 * when the read model can be read. Ends when `signal` is aborted, or when whoever reads it stops, even while nothing changes.
 */
export function watchQuery<Result>(
  answer: () => Promise<Result>,
  readModel: ReadModel,
  signal: AbortSignal | undefined,
): AsyncIterableIterator<Result> {
  const stopping = new AbortController()
  const generator = answers(answer, readModel, signal ? AbortSignal.any([signal, stopping.signal]) : stopping.signal)
  return {
    next: () => generator.next(),
    // A generator that waits does not hear of `return` before it yields again: it must be woken.
    return: async () => {
      stopping.abort()
      return generator.return(undefined)
    },
    [Symbol.asyncIterator]() {
      return this
    },
  }
}

async function* answers<Result>(
  answer: () => Promise<Result>,
  readModel: ReadModel,
  signal: AbortSignal,
): AsyncGenerator<Result, undefined> {
  let last: string | undefined
  let position = -1
  while (!signal.aborted) {
    // Whoever asks once is told after a while that it is still being built; whoever watches has time until it can be read.
    if (!readModel.current) {
      await readModel.changed(pollMs, signal)
      continue
    }
    const current = await readModel.position()
    if (current !== position) {
      position = current
      const result = await answer()
      const text = JSON.stringify(result) ?? ''
      if (text !== last && !signal.aborted) {
        last = text
        yield result
      }
    }
    if (position === (await readModel.position())) await readModel.changed(pollMs, signal)
    await readModel.pause(minimumPauseMs, signal)
  }
}
