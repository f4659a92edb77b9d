import { checkName } from '../../storage/encode.ts'
import { InvalidEventError, VersionConflictError } from '../../storage/errors.ts'
import type { EventStore } from '../../storage/event-store.ts'
import { patiently } from '../../storage/patience.ts'
import { categoryOf, streamName } from '../../storage/stream-name.ts'
import { UnknownTopicError, UnsupportedByTransportError } from '../errors.ts'
import type { TopicSpec } from '../port.ts'

/** The category of the streams that say which topics there are. */
const registry = 'headwater-topic'

const retryForMs = 10_000

/** Which topics have been made: each is a stream with one event, so that a topic whose name is misspelt is not taken for an empty one. */
export class Topics {
  readonly #store: EventStore
  /** Topics are never removed. */
  readonly #known = new Map<string, Promise<void>>()

  constructor(store: EventStore) {
    this.#store = store
  }

  async ensure({ name, partitions, retentionMs, settings }: TopicSpec): Promise<void> {
    this.#checkName(name)
    if (retentionMs !== undefined || settings !== undefined || (partitions ?? 1) !== 1)
      this.#store.environment.log('info', 'a topic in a log has one partition, no settings, and keeps its messages for ever', {
        topic: name,
      })
    if (await this.#exists(name)) return
    try {
      await this.#store.append(streamName(registry, name), { type: 'TopicMade', data: { topic: name } }, { expectedVersion: 'no-stream' })
    } catch (error) {
      if (!(error instanceof VersionConflictError)) throw error
    }
  }

  /** @throws UnknownTopicError */
  check(name: string): Promise<void> {
    const known = this.#known.get(name)
    if (known) return known
    const checking = this.#require(name)
    this.#known.set(name, checking)
    checking.catch(() => this.#known.delete(name))
    return checking
  }

  async #require(name: string): Promise<void> {
    if (!(await this.#exists(name))) throw new UnknownTopicError('log', name)
  }

  /** A connection may break while it is asked. */
  async #exists(name: string): Promise<boolean> {
    const { driver, environment } = this.#store
    const [made] = await patiently({ driver, environment, retryForMs }, 'look at the topics of the log', () =>
      driver.readStream({ stream: streamName(registry, name), direction: 'forwards', limit: 1 }),
    )
    return made !== undefined
  }

  /** A topic is a category, and leaves room for a key in the name of a stream. */
  #checkName(name: string): void {
    try {
      checkName(name, 'the name of a topic', { maxNameBytes: 150 })
    } catch (error) {
      if (error instanceof InvalidEventError) throw new UnsupportedByTransportError(error.message, { cause: error })
      throw error
    }
    if (categoryOf(name) !== name || name === registry)
      throw new UnsupportedByTransportError(`a topic in a log cannot be called ${name}: the name holds a colon or is taken`)
  }
}
