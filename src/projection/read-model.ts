import { describeError } from '../observability/log.ts'
import { WaitTimeoutError } from '../processing/errors.ts'
import type { Worker } from '../processing/page-runner.ts'
import { PageRunner } from '../processing/page-runner.ts'
import type { ProcessingContext, ProcessorStatus } from '../processing/processor.ts'
import { Processor } from '../processing/processor.ts'
import { documentsOf } from '../storage/documents.ts'
import type { Documents } from '../storage/documents.ts'
import { ProjectionBuildingError } from './errors.ts'
import { InlineWorker } from './inline.ts'
import type { Generation } from './generation.ts'
import { dispensable, fits, generationsOf, maintained, nextGeneration, readable } from './generation.ts'
import type { AnyProjection } from './projection.ts'
import { ReadModelWorker } from './read-model-worker.ts'
import { versioned, withoutVersion } from './versioned.ts'

/** How often to look which generations there are, since other processes build and retire them too. */
const syncEveryMs = 2_000
/** How long a retired generation stays, for readers that have not noticed yet. */
const retiredForMs = 10_000
/** How long reading waits for a first generation that is being built. */
const readableWithinMs = 5_000

/** One projection as this process runs and reads it: its generations, their processors, and waiting for a position. */
export class ReadModel {
  readonly projection: AnyProjection
  readonly documents: Documents<unknown, never>
  readonly #context: ProcessingContext
  readonly #processors = new Map<string, Processor>()
  readonly #moveWatchers = new Set<() => void>()
  readonly #syncWatchers = new Set<() => void>()
  readonly #stopping = new AbortController()
  #keepsUp = false
  #generations: readonly Generation[] = []
  #syncing: Promise<void> = Promise.resolve()
  #refreshing: Promise<void> | undefined

  constructor(projection: AnyProjection, context: ProcessingContext) {
    this.projection = projection.inline ? versioned(projection) : projection
    this.#context = context
    this.documents = documentsOf(
      context.store.driver.documents,
      () => this.#collection(),
      projection.inline ? (text) => withoutVersion(JSON.parse(text)) : JSON.parse,
    )
  }

  /** Follows which generations there are. With `keepUp`, also finds or begins the one that this program declares, and keeps it up to date. */
  async start({ keepUp }: { readonly keepUp: boolean }): Promise<void> {
    this.#keepsUp = keepUp
    await this.sync()
    const isDeclared = this.#generations.some(
      (generation) => generation.version === this.projection.version && fits(this.projection, generation),
    )
    if (keepUp && !isDeclared) await this.begin()
    this.#refreshing = this.#refresh()
  }

  async stop(): Promise<void> {
    this.#stopping.abort()
    await this.#refreshing
    await this.#syncing
    await Promise.all([...this.#processors.values()].map((processor) => processor.stop()))
  }

  get statuses(): readonly (ProcessorStatus & { readonly generation: string; readonly building: boolean })[] {
    return this.#generations.flatMap(({ id, state }) => {
      const processor = this.#processors.get(id)
      return processor ? [{ ...processor.status, generation: id, building: state === 'building' }] : []
    })
  }

  /** The generation that is read; undefined while the first one is being built. */
  get current(): Generation | undefined {
    return readable(this.projection, this.#generations)
  }

  /** The generations as they were a moment ago, newest first. */
  get generations(): readonly Generation[] {
    return this.#generations
  }

  /** Keeps up what this program declares from now on, if it did not before. */
  async keepUp(): Promise<void> {
    this.#keepsUp = true
    await this.sync()
  }

  /** Begins a new generation beside what is there; it takes over by itself when it is complete. */
  async begin(): Promise<Generation> {
    const spec = nextGeneration(this.projection, this.#generations)
    await this.#context.store.driver.documents.create(spec)
    await this.sync()
    return this.#generations.find(({ id }) => id === spec.id)!
  }

  /**
   * Waits until the documents can be read and hold everything up to this position.
   * @throws WaitTimeoutError that tells how far behind they are; ProjectionBuildingError while the first generation is being built
   */
  async waitFor(position: number, timeoutMs: number): Promise<void> {
    const { clock } = this.#context.store.environment
    const deadlineMs = clock.now() + timeoutMs
    let reached = 0
    for (;;) {
      const generation = this.current
      if (generation && position === 0) return
      reached = generation ? await this.#positionOf(generation) : 0
      if (generation && reached >= position) return
      const leftMs = deadlineMs - clock.now()
      if (leftMs <= 0) {
        if (!generation) throw await this.#building()
        const failure = this.#processors.get(generation.id)?.status.failure
        throw new WaitTimeoutError(`the read model ${this.projection.name}`, position, reached, timeoutMs, failure)
      }
      await this.changed(Math.min(leftMs, this.#isLocal(generation) ? Infinity : 50))
    }
  }

  /** Resolves when a processor of this process has moved, or after `timeoutMs`. */
  changed(timeoutMs: number, signal?: AbortSignal): Promise<void> {
    return this.#wait(this.#moveWatchers, timeoutMs, signal)
  }

  /** Resolves when it was looked again which generations there are, or after `timeoutMs`. */
  synced(timeoutMs: number, signal?: AbortSignal): Promise<void> {
    return this.#wait(this.#syncWatchers, timeoutMs, signal)
  }

  async #wait(watchers: Set<() => void>, timeoutMs: number, signal: AbortSignal | undefined): Promise<void> {
    if (signal?.aborted) return
    const pause = new AbortController()
    await new Promise<void>((resolve) => {
      watchers.add(resolve)
      signal?.addEventListener('abort', () => resolve(), { once: true, signal: pause.signal })
      if (timeoutMs < Infinity) void this.#context.store.environment.clock.sleep(timeoutMs, pause.signal).then(resolve)
    })
    pause.abort()
  }

  /** Waits, so that a burst of changes is looked at once. */
  pause(ms: number, signal?: AbortSignal): Promise<void> {
    return this.#context.store.environment.clock.sleep(ms, signal)
  }

  /** How far the documents that are read have come. */
  async position(): Promise<number> {
    const generation = this.current
    return generation ? this.#positionOf(generation) : 0
  }

  /** Looks which generations there are, and runs the processors of those that this program keeps up. */
  sync(): Promise<void> {
    this.#syncing = this.#syncing.catch(() => undefined).then(() => this.#sync())
    return this.#syncing
  }

  async #sync(): Promise<void> {
    this.#generations = generationsOf(this.projection, await this.#context.store.driver.documents.list(this.projection.name))
    if (this.#stopping.signal.aborted) return
    const wanted = this.#keepsUp ? maintained(this.projection, this.#generations) : []
    for (const [id, processor] of this.#processors) {
      if (wanted.some((generation) => generation.id === id)) continue
      this.#processors.delete(id)
      // It may be the very processor that has just been replaced and is waiting for this.
      void processor.stop()
    }
    for (const generation of wanted) if (!this.#processors.has(generation.id)) this.#run(generation)
    await this.#dropRetired()
    notify(this.#syncWatchers)
    notify(this.#moveWatchers)
  }

  #run(generation: Generation): void {
    const worker = this.#workerFor(generation)
    const runner = new PageRunner(worker, this.#context)
    const processor = new Processor({ name: generation.processor, runner, startAt: 'beginning' }, this.#context)
    processor.onProgress(() => notify(this.#moveWatchers))
    this.#processors.set(generation.id, processor)
    processor.start()
  }

  #workerFor(generation: Generation): Worker {
    const { store } = this.#context
    const whenCaughtUp = (): Promise<void> => this.#complete(generation.id)
    const isRead = (): boolean => this.current?.id === generation.id
    if (this.projection.inline) return new InlineWorker(this.projection, generation, store, isRead, whenCaughtUp)
    return new ReadModelWorker(this.projection, generation, store, { isBeingBuilt: () => !isRead(), whenCaughtUp })
  }

  /** A generation that was being built has caught up: it gets its indexes, and takes over unless what is read now is still further. */
  async #complete(id: string): Promise<void> {
    const building = (): Generation | undefined =>
      this.#generations.find((candidate) => candidate.id === id && candidate.state === 'building')
    if (!building()) return
    // Another process may have completed it, and this one taken over since.
    await this.sync()
    const generation = building()
    if (!generation) return
    const { documents } = this.#context.store.driver
    await documents.index(id)
    const read = this.current
    const promoted = await documents.promote({
      collection: id,
      processor: generation.processor,
      ...(read && { notBehind: read.processor }),
    })
    if (!promoted) return
    // The first one of a new store is nobody's news.
    const level = read ? 'info' : 'debug'
    this.#context.store.environment.log(level, 'a read model is complete', { projection: this.projection.name, generation: id })
    await this.sync()
  }

  async #dropRetired(): Promise<void> {
    const { store, leases } = this.#context
    const candidates = dispensable(this.projection, this.#generations).filter(
      ({ changedAtMs }) => store.environment.clock.now() - changedAtMs >= retiredForMs,
    )
    if (candidates.length === 0) return
    const processors = await store.driver.processors.list()
    for (const { id, processor } of candidates) {
      const owner = processors.find((info) => info.processor === processor)?.owner
      if (owner !== undefined && owner !== leases.owner) continue
      await store.driver.documents.drop(id, processor)
      store.environment.log('info', 'an old read model was removed', { projection: this.projection.name, generation: id })
    }
  }

  async #refresh(): Promise<void> {
    const { clock, log } = this.#context.store.environment
    while (!this.#stopping.signal.aborted) {
      await clock.sleep(syncEveryMs, this.#stopping.signal)
      if (this.#stopping.signal.aborted) return
      await this.sync().catch((error: unknown) =>
        log('warn', 'the read models could not be listed', { projection: this.projection.name, error: describeError(error) }),
      )
    }
  }

  /** The generation to read. A read model of a short log is complete in a moment, which is waited for. */
  async #collection(): Promise<Generation> {
    if (!this.current) await this.waitFor(0, readableWithinMs)
    return this.current!
  }

  async #building(): Promise<ProjectionBuildingError> {
    const position = Math.max(0, ...this.statuses.map((status) => status.position))
    return new ProjectionBuildingError(this.projection.name, position, (await this.#context.store.log()).head)
  }

  #isLocal(generation: Generation | undefined): boolean {
    const state = generation && this.#processors.get(generation.id)?.status.state
    return state === 'live' || state === 'catching-up' || state === 'failing'
  }

  async #positionOf(generation: Generation): Promise<number> {
    if (this.#isLocal(generation)) return this.#processors.get(generation.id)!.status.position
    const processors = await this.#context.store.driver.processors.list()
    return processors.find(({ processor }) => processor === generation.processor)?.position ?? 0
  }
}

function notify(watchers: Set<() => void>): void {
  const waiting = [...watchers]
  watchers.clear()
  for (const resolve of waiting) resolve()
}
