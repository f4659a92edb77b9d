import { importEvents, streamName } from 'headwater'
import type { BadLine, EventStore, ImportOptions, ImportResult, ImportSource } from 'headwater'
import { declaration } from './declaration.ts'

export interface ImportedLog extends ImportResult {
  /** The first ten; `bad` says how many there are. */
  readonly badLines: readonly BadLine[]
  readonly elapsedMs: number
}

/** Imports a log of declarations. Run again after whatever ended it, it goes on where it was: what is stored already is skipped. */
export async function importLog(
  store: EventStore,
  source: ImportSource,
  options: Pick<ImportOptions, 'signal' | 'onProgress'> = {},
): Promise<ImportedLog> {
  const badLines: BadLine[] = []
  const startedMs = performance.now()
  const result = await importEvents(store, source, {
    ...options,
    // The file's subjects, `declaration86791`, become streams of the aggregate: `declaration:86791`.
    map: ({ stream, event }) => ({ event, stream: stream && streamName(declaration.name, stream.replace(/^declaration/, '')) }),
    onBadLine: (bad) => {
      if (badLines.length < 10) badLines.push(bad)
    },
  })
  return { ...result, badLines, elapsedMs: performance.now() - startedMs }
}
