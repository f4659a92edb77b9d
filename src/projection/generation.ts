import type { CollectionInfo, CollectionSpec } from '../storage/document-port.ts'
import type { AnyProjection } from './projection.ts'

/**
 * A generation is one build of a read model: a collection and the processor that fills it. A new one is built beside the one that is read, which is
 * retired when the new one is complete.
 */
export interface Generation extends CollectionInfo {
  readonly number: number
  readonly processor: string
}

const processorPrefix = 'projection:'

export function processorOf(collection: string): string {
  return `${processorPrefix}${collection}`
}

/** The generations of one projection among these collections, newest first. */
export function generationsOf(projection: AnyProjection, collections: readonly CollectionInfo[]): readonly Generation[] {
  return collections
    .filter((collection) => collection.projection === projection.name)
    .map((collection) => ({
      ...collection,
      number: Number(collection.id.slice(collection.id.lastIndexOf('.') + 1)),
      processor: processorOf(collection.id),
    }))
    .toSorted((a, b) => b.version - a.version || b.number - a.number)
}

/** The next generation of the projection as this program declares it. */
export function nextGeneration(projection: AnyProjection, generations: readonly Generation[]): CollectionSpec {
  const number =
    Math.max(0, ...generations.filter(({ version }) => version === projection.version).map((generation) => generation.number)) + 1
  return {
    id: `${projection.name}@${projection.version}.${number}`,
    projection: projection.name,
    version: projection.version,
    indexed: projection.indexed,
    searchable: projection.searched.length > 0,
  }
}

/** Whether the collection has the indexes that the program declares now. */
export function fits(projection: AnyProjection, { indexed, searchable }: CollectionSpec): boolean {
  return searchable === projection.searched.length > 0 && indexed.join('\n') === projection.indexed.join('\n')
}

/**
 * What a process that declares this version reads: the newest complete generation of that version; else, while it is being built, the newest complete
 * one of another version, which is what was read before.
 */
export function readable(projection: AnyProjection, generations: readonly Generation[]): Generation | undefined {
  const ofVersion = generations.filter(({ version }) => version === projection.version)
  return (
    ofVersion.find(({ state }) => state === 'live') ??
    // A newer version is live already; this process, which is older, keeps up what it declares until it ends.
    ofVersion.find(({ state }) => state === 'retired') ??
    generations.find(({ state }) => state === 'live')
  )
}

/** What such a process keeps up to date: the generation that it reads, if of its own version, and those that are being built. */
export function maintained(projection: AnyProjection, generations: readonly Generation[]): readonly Generation[] {
  const read = readable(projection, generations)
  return generations.filter(
    (generation) => generation.version === projection.version && (generation.state === 'building' || generation.id === read?.id),
  )
}

/** What nobody needs any more, as far as this process can tell: retired, and not what it reads. The store knows whether somebody still keeps it up. */
export function dispensable(projection: AnyProjection, generations: readonly Generation[]): readonly Generation[] {
  const read = readable(projection, generations)
  return generations.filter(({ id, state }) => state === 'retired' && id !== read?.id)
}
