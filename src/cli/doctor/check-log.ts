import { LogGapError } from '../../storage/errors.ts'
import type { EventStore } from '../../storage/event-store.ts'
import { countOf, formatCount } from '../output.ts'
import type { Finding } from './finding.ts'
import { ok, problem, warning } from './finding.ts'

const pageSize = 1_000
/** Pages looked at by a spot check, spread over the log. */
const samples = 20

const advice = 'stop what writes to the store, and restore it from a backup or a replica: what was derived from this log may be wrong'

/** Whether every position, and with `full` every version of every stream, is there. */
export async function checkLog(
  store: EventStore,
  { full, onProgress }: { readonly full: boolean; readonly onProgress: (position: number, head: number) => void },
): Promise<readonly Finding[]> {
  const { head, firstPosition } = await store.log()
  if (head === 0) return [ok('log', 'it is empty')]
  try {
    if (!full) return [ok('log', await spotCheck(store, firstPosition, head))]
    const count = await countEvents(store, firstPosition, head, onProgress)
    return [
      ok('log', `all ${formatCount(count)} positions up to ${formatCount(head)} are there`),
      await checkStreams(store, firstPosition, head, count),
    ]
  } catch (error) {
    if (!(error instanceof LogGapError)) throw error
    return [problem('log', error.message, advice)]
  }
}

async function spotCheck(store: EventStore, firstPosition: number, head: number): Promise<string> {
  const last = Math.max(firstPosition, head - pageSize + 1)
  const starts = Array.from({ length: samples }, (_, index) => firstPosition + Math.floor(((last - firstPosition) * index) / (samples - 1)))
  let checked = 0
  let through = 0
  for (const start of starts) {
    if (start <= through) continue
    const page = await store.readLogPage({ after: start - 1, upTo: head, limit: pageSize })
    if (page.length < Math.min(pageSize, head - start + 1)) throw new LogGapError((page.at(-1)?.position ?? start - 1) + 1, head + 1)
    checked += page.length
    through = page.at(-1)!.position
  }
  const all = head - firstPosition + 1
  return `ends at position ${formatCount(head)}; ${formatCount(checked)} of ${countOf(all, 'position')} looked at, no gap (--full looks at all)`
}

async function countEvents(
  store: EventStore,
  firstPosition: number,
  head: number,
  onProgress: (position: number, head: number) => void,
): Promise<number> {
  let after = firstPosition - 1
  while (after < head) {
    const page = await store.readLogPage({ after, upTo: head, limit: pageSize })
    if (page.length === 0) throw new LogGapError(after + 1, head + 1)
    after = page.at(-1)!.position
    onProgress(after, head)
  }
  return head - firstPosition + 1
}

/**
 * Versions of a stream are unique and begin with 1, so a stream has as many events as its last version says if and only if none is missing; and all
 * streams have if and only if the sums agree. That needs no memory, however many streams there are.
 */
async function checkStreams(store: EventStore, firstPosition: number, head: number, count: number): Promise<Finding> {
  if (firstPosition > 1) return ok('streams', 'not checked: the beginning of the log is archived')
  let streams = 0
  let versions = 0
  for await (const { version } of store.streams()) {
    streams++
    versions += version
  }
  if (versions === count) return ok('streams', `all versions of ${countOf(streams, 'stream')} are there`)
  if ((await store.log()).head !== head)
    return warning('streams', 'not checked: the log has grown meanwhile', 'run it again when nobody writes')
  return problem(
    'streams',
    `the last versions of all streams add up to ${formatCount(versions)}, but there are ${countOf(count, 'event')}`,
    advice,
  )
}
