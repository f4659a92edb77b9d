/** Something with a key, in front. */
export type Keyed = readonly [key: string, ...rest: unknown[]]

interface Cursor<Row extends Keyed> {
  row: Row
  readonly rest: Iterator<Row>
}

/** The rows of all sources, each of which is sorted by key, in the order of their keys. */
export function* mergeSorted<Row extends Keyed>(sources: Iterable<Iterable<Row>>): Generator<Row> {
  /** Sorted by their rows, the least one last. */
  const cursors: Cursor<Row>[] = []
  for (const source of sources) {
    const rest = source[Symbol.iterator]()
    const { done, value } = rest.next()
    if (!done) insert(cursors, { row: value, rest })
  }
  for (let least = cursors.pop(); least; least = cursors.pop()) {
    yield least.row
    const { done, value } = least.rest.next()
    if (!done) insert(cursors, { row: value, rest: least.rest })
  }
}

function insert<Row extends Keyed>(cursors: Cursor<Row>[], cursor: Cursor<Row>): void {
  const [key] = cursor.row
  let from = 0
  let to = cursors.length
  while (from < to) {
    const middle = (from + to) >>> 1
    if (cursors[middle]!.row[0] > key) from = middle + 1
    else to = middle
  }
  cursors.splice(from, 0, cursor)
}
