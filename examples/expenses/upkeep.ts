import type { RebuildProgress } from 'headwater'
import type { Expenses } from './expenses.ts'
import { readModels } from './expenses.ts'
import { declarations } from './read-models.ts'

export interface Rebuilt {
  readonly readModel: string
  readonly documents: number
  readonly elapsedMs: number
}

/** Builds the largest read model anew, beside the one that is read meanwhile. Ended half-way, it is gone on with the next time. */
export async function rebuildDeclarations(
  app: Expenses,
  options: { readonly signal: AbortSignal; readonly onProgress?: (progress: RebuildProgress) => void },
): Promise<Rebuilt> {
  const startedMs = performance.now()
  await app.rebuild(declarations, { ...options, progressEveryMs: 100 })
  return {
    readModel: declarations.name,
    documents: await app.documents(declarations).count(),
    elapsedMs: performance.now() - startedMs,
  }
}

export interface Verified {
  readonly readModel: string
  readonly documents: number
  /** Keys of the documents that are not what the log makes of them. */
  readonly differences: readonly string[]
}

/** Replays the log, and compares every document of every read model with what comes out. */
export async function verifyReadModels(app: Expenses, options: { readonly signal: AbortSignal }): Promise<readonly Verified[]> {
  const verified: Verified[] = []
  for (const { name } of readModels) {
    const { documents, differences } = await app.verify(name, options)
    verified.push({ readModel: name, documents, differences: differences.map(({ key }) => key) })
  }
  return verified
}
