import { processorOf } from '../../projection/generation.ts'
import type { CollectionInfo } from '../../storage/document-port.ts'
import type { EventStore } from '../../storage/event-store.ts'
import type { ProcessorInfo } from '../../storage/port.ts'
import { countOf, formatCount, formatDuration } from '../output.ts'
import { followsLog, isPresence } from '../processors.ts'
import type { Finding } from './finding.ts'
import { ok, problem, warning } from './finding.ts'

/** Handlers and projections: how far they are, who runs them, and what stands still. */
export async function checkProcessors(store: EventStore): Promise<readonly Finding[]> {
  const { documents, processors } = store.driver
  const collections = (await documents.list()).filter(({ projection }) => !isInternal(projection))
  const all = (await processors.list()).filter(({ processor }) => !isInternal(processor))
  // In this order, or a processor could seem to be beyond the end of the log.
  const { head } = await store.log()
  // What is retired stays behind for good; what is being built is reported below.
  const apart = new Set(collections.filter(({ state }) => state !== 'live').map(({ id }) => processorOf(id)))
  const nowMs = store.environment.clock.now()
  const findings = all.flatMap((info) => checkProcessor(info, { head, nowMs, mayLag: apart.has(info.processor) }))
  const owners = new Set(all.flatMap(({ owner }) => (owner === undefined ? [] : [owner])))
  const held = all.filter(({ owner }) => owner !== undefined).length
  return [
    ...findings,
    ...(findings.length === 0 ? [ok('processors', `${countOf(all.length, 'processor')}, none stands still`)] : []),
    ok('leases', `${held} of ${countOf(all.length, 'processor')} held, by ${countOf(owners.size, 'process', 'processes')}`),
    ...checkCollections(collections, all),
  ]
}

/** What Headwater keeps for itself, who takes part in what, and what a verification leaves behind when it is killed, which the next one removes. */
function isInternal(name: string): boolean {
  return name.startsWith('headwater:') || name.startsWith('verification:') || isPresence(name)
}

function checkProcessor(
  { processor, position, owner, failure, movedAtMs }: ProcessorInfo,
  { head, nowMs, mayLag }: { readonly head: number; readonly nowMs: number; readonly mayLag: boolean },
): readonly Finding[] {
  const since = formatDuration(Math.max(0, nowMs - movedAtMs))
  if (!followsLog(processor)) {
    if (failure === undefined) return []
    return [problem(processor, `stands still for ${since}: ${failure}`, 'mend the cause; it tries again by itself')]
  }
  if (position > head)
    return [
      problem(
        processor,
        `its checkpoint ${formatCount(position)} is beyond the end of the log, ${formatCount(head)}: the log has lost its end, or is another one`,
        'restore the missing end of the log; if it is lost for good, rebuild the projection, or let the handler begin again',
      ),
    ]
  if (failure !== undefined)
    return [
      problem(
        processor,
        `stands still at position ${formatCount(position)}, ${countOf(head - position, 'event')} behind, for ${since}: ${failure}`,
        'mend the cause; it tries again by itself',
      ),
    ]
  if (position < head && owner === undefined && !mayLag)
    return [warning(processor, `nobody runs it; it is ${countOf(head - position, 'event')} behind`, 'start the service that it belongs to')]
  return []
}

function checkCollections(collections: readonly CollectionInfo[], processors: readonly ProcessorInfo[]): readonly Finding[] {
  const held = new Set(processors.filter(({ owner }) => owner !== undefined).map(({ processor }) => processor))
  const building = collections.filter(({ state }) => state === 'building')
  const live = collections.filter(({ state }) => state === 'live').length
  return [
    ok('read models', `${live} live, ${building.length} being built`),
    ...building
      .filter(({ id }) => !held.has(processorOf(id)))
      .map(({ id, projection }) =>
        warning(id, 'it is not complete, and nobody builds it', `start the service, or run: headwater projection rebuild ${projection}`),
      ),
  ]
}
