import { isDeepStrictEqual } from 'node:util'
import type { StreamAppend } from '../write-set.ts'

interface Item {
  readonly line: number
  /** Of one event. */
  readonly append: StreamAppend
}

/** Events of a file that are stored in one transaction; each is there once. */
export class ImportBatch {
  readonly items: Item[] = []
  #bytes = 0
  readonly #byIdentity = new Map<string, Item>()

  get size(): number {
    return this.items.length
  }

  /** Of JSON, roughly: in UTF-16 units. */
  get bytes(): number {
    return this.#bytes
  }

  /** The event of the batch with the same source and id, and whether it is another event all the same. */
  twinOf(append: StreamAppend): { readonly line: number; readonly differs: boolean } | undefined {
    const twin = this.#byIdentity.get(identityOf(append))
    return twin && { line: twin.line, differs: !isSame(twin.append, append) }
  }

  add(line: number, append: StreamAppend): void {
    const item = { line, append }
    this.items.push(item)
    this.#byIdentity.set(identityOf(append), item)
    for (const { data, metadata } of append.events) this.#bytes += data.length + (metadata?.length ?? 0)
  }
}

function identityOf({ events: [event] }: StreamAppend): string {
  return `${event!.id}\n${event!.source}`
}

/** By the measure by which events in the log are compared with repeated ones. */
function isSame(a: StreamAppend, b: StreamAppend): boolean {
  const [first, second] = [a.events[0]!, b.events[0]!]
  return a.stream === b.stream && first.type === second.type && isDeepStrictEqual(JSON.parse(first.data), JSON.parse(second.data))
}
