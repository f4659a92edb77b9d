import { InvalidDefinitionError } from '../message/errors.ts'
import type { RecordedEvent } from '../message/event.ts'
import { idOf } from '../storage/stream-name.ts'
import type { AnyProjection } from './projection.ts'
import { keysOf } from './projection.ts'

/**
 * Inline projections keep one document a stream, which is written in the transaction of the append and guarded by the stream's version. To that end the
 * document is stored with the version of the last event in it. Events that come another way than by a command of this program (an older program during a
 * rolling deploy, a bare append) are folded by a processor a moment later, which otherwise finds that everything is done.
 */
export interface Versioned {
  readonly version: number
  readonly document: unknown
}

/** The same projection over documents with their versions, which takes each event once. */
export function versioned(projection: AnyProjection): AnyProjection {
  const folds = Object.fromEntries(
    Object.entries(projection.folds).map(([type, { fold }]) => [
      type,
      {
        key: (event: RecordedEvent) => [keyOfStream(projection, event)],
        fold: ({ version, document }: Versioned, event: RecordedEvent): Versioned | null => {
          if (event.version <= version) return { version, document }
          const next = fold(document as never, event as never)
          return next === null ? null : { version: event.version, document: next }
        },
      },
    ]),
  )
  return { ...projection, folds, initial: (key): Versioned => ({ version: 0, document: projection.initial(key) }) }

  function keyOfStream(inner: AnyProjection, event: RecordedEvent): string {
    const keys = keysOf(inner, event)
    if (keys.length === 1 && keys[0] === idOf(event.stream)) return keys[0]
    throw new InvalidDefinitionError(
      `${inner.name} is inline: ${event.type} in ${event.stream} may change the document ${idOf(event.stream)} only, not ${keys.join(', ') || 'none'}`,
    )
  }
}

/** The document as its readers know it. */
export function withoutVersion(stored: unknown): unknown {
  return (stored as Versioned).document
}
