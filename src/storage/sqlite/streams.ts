import type { StreamInfo } from '../port.ts'
import type { Connection, Statement, Value } from './connection.ts'

/** From a name, included, to another, excluded. */
type NameRange = readonly [from: string, below: Value]

// To SQLite every text is smaller than every blob.
const allNames: readonly NameRange[] = [['', new Uint8Array()]]

/**
 * Lists streams by hopping from one to the next in the index of (stream, version): what a page costs does not depend on how many events the
 * streams have. Names are ordered by their UTF-8 bytes.
 */
export class StreamList {
  readonly #next: Statement<readonly [stream: string]>
  readonly #last: Statement<readonly [version: number, position: number]>

  constructor(connection: Connection) {
    this.#next = connection.prepare('SELECT stream FROM headwater_events WHERE stream >= max(?, ?) AND stream < ? ORDER BY stream LIMIT 1')
    this.#last = connection.prepare('SELECT version, position FROM headwater_events WHERE stream = ? ORDER BY version DESC LIMIT 1')
  }

  page({ category, after, limit }: { readonly category?: string; readonly after?: string; readonly limit: number }): StreamInfo[] {
    const streams: StreamInfo[] = []
    let from = after === undefined ? '' : nameBehind(after)
    for (const [first, below] of category === undefined ? allNames : namesIn(category))
      while (streams.length < limit) {
        const stream = this.#next.get(from, first, below)?.[0]
        if (stream === undefined) break
        const [version, position] = this.#last.get(stream)!
        streams.push({ stream, version, position })
        from = nameBehind(stream)
      }
    return streams
  }
}

/** The smallest name that comes after this one. */
function nameBehind(name: string): string {
  return `${name}\0`
}

/** The stream that is named like the category, and those where a colon follows; names of other categories may stand between them. */
function namesIn(category: string): readonly NameRange[] {
  return [
    [category, nameBehind(category)],
    [`${category}:`, `${category};`],
  ]
}
