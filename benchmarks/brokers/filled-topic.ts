import type { OutgoingMessage, TransportConnection } from '../../src/transport/port.ts'
import type { Topic } from '../../src/transport/topic.ts'
import { newTopic, orderMessages } from '../harness/order-messages.ts'
import type { Pace } from '../harness/pace.ts'
import type { OpenBroker } from './broker.ts'
import { inParts } from './broker.ts'
import type { GivenBroker } from './given.ts'

/** A topic full of messages for groups that come one after the other. Where the broker keeps no messages, each group gets a topic of its own. */
export class FilledTopic {
  readonly #given: GivenBroker
  readonly #broker: OpenBroker
  readonly #connection: TransportConnection
  readonly #groups: string[] = []
  #topic: Topic | undefined

  constructor(given: GivenBroker, broker: OpenBroker, connection: TransportConnection) {
    this.#given = given
    this.#broker = broker
    this.#connection = connection
  }

  /** Gives the topic when all its messages wait for this group. */
  async for(group: string): Promise<Topic> {
    const startAt = startOf(this.#connection)
    if (startAt.at === 'end') await this.remove()
    const isNew = this.#topic === undefined
    this.#topic ??= newTopic(this.#given.partitions)
    const topic = this.#topic
    if (isNew) await this.#connection.ensureTopic(topic.spec)
    await this.#connection.ensureGroup(topic.name, group, startAt)
    this.#groups.push(group)
    if (isNew) await publishAll(this.#connection, topic.name, orderMessages(topic, this.#given.messages))
    return topic
  }

  async remove(): Promise<void> {
    if (this.#topic) await this.#broker.remove(this.#topic.name, this.#groups.splice(0))
    this.#topic = undefined
  }
}

/** As early as the broker can. */
export function startOf({ capabilities }: TransportConnection): { readonly at: 'beginning' | 'end' } {
  return { at: capabilities.startAt.includes('beginning') ? 'beginning' : 'end' }
}

/** In calls of 1,000 messages, at least ten of them, four of which are under way. */
export async function publishAll(
  connection: TransportConnection,
  topic: string,
  messages: readonly OutgoingMessage[],
  pace?: Pace,
): Promise<void> {
  await inParts(messages, Math.min(1_000, Math.ceil(messages.length / 10)), 4, async (part) => {
    const outcomes = await connection.publish(topic, part)
    for (const outcome of outcomes) if (!outcome.ok) throw outcome.error
    pace?.add(part.length)
  })
}
