const pageSize = 1_000

/** At most `limit` of the items, a page at a time, so that each page can be printed in one piece. */
export async function* inPages<T>(items: AsyncIterable<T>, limit: number): AsyncGenerator<readonly T[]> {
  let page: T[] = []
  let count = 0
  if (limit <= 0) return
  for await (const item of items) {
    page.push(item)
    if (++count >= limit) break
    if (page.length < pageSize) continue
    yield page
    page = []
  }
  yield page
}

export async function* onePage<T>(rows: readonly T[]): AsyncGenerator<readonly T[]> {
  yield rows
}
