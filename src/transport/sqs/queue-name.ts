import { createHash } from 'node:crypto'
import type { SqsSettings } from './settings.ts'

/** Amazon's limit, with `.fifo`. */
const maxNameLength = 80
const separator = '--'
const deadLettersEnd = `${separator}dlq`
/** What the longest topic leaves to its groups: a hash, and something to read before it. */
const roomForGroup = 25

/** Names of the queues that make up a topic: its own, one a group, and perhaps one for what SQS puts aside of the group. */
export class QueueNames {
  readonly #prefix: string
  readonly #suffix: string

  constructor({ queuePrefix, fifo }: SqsSettings) {
    this.#prefix = queuePrefix
    this.#suffix = fifo ? '.fifo' : ''
  }

  /** The queue that stands for the topic and holds its settings. */
  topic(topic: string): string {
    return `${this.#stem(topic)}${this.#suffix}`
  }

  group(topic: string, group: string): string {
    return this.#ofGroup(topic, group, '')
  }

  /** Where SQS puts aside what a group was given too often. */
  deadLetters(topic: string, group: string): string {
    return this.#ofGroup(topic, group, deadLettersEnd)
  }

  /** How the names of all queues of the topic's groups start, and of nobody else's. */
  groupsStart(topic: string): string {
    return `${this.#stem(topic)}${separator}`
  }

  /**
   * Whether the queue, whose name starts as those of the topic's groups, is that of a group, and of the kind that is in use here: a topic may have been moved from standard to FIFO
   * queues. What a group is called never holds the separator.
   */
  isOfGroup(topic: string, queueUrl: string): boolean {
    const name = queueUrl.slice(queueUrl.lastIndexOf('/') + 1)
    return name.endsWith('.fifo') === (this.#suffix !== '') && !name.slice(this.groupsStart(topic).length).includes(separator)
  }

  #ofGroup(topic: string, group: string, end: string): string {
    const start = this.groupsStart(topic)
    return `${start}${fit(encode(group), maxNameLength - start.length - end.length - this.#suffix.length)}${end}${this.#suffix}`
  }

  #stem(topic: string): string {
    const longest = maxNameLength - this.#prefix.length - separator.length - roomForGroup - '.fifo'.length
    return `${this.#prefix}${fit(encode(topic), longest)}`
  }
}

/**
 * Different names stay different, and none contains the separator or makes one at its ends. Whatever is no letter, digit, `-` or `_` becomes `_` and the two
 * hexadecimal digits of each of its bytes, and so does a `-` beside another one or at an end, and a `_` that would look like such a code.
 */
function encode(name: string): string {
  return name.replaceAll(/[^A-Za-z0-9_-]+|^-|-$|(?<=-)-|_(?=[0-9a-f]{2})/gu, (text) =>
    Array.from(Buffer.from(text), (byte) => `_${byte.toString(16).padStart(2, '0')}`).join(''),
  )
}

/** A name that is too long keeps its beginning, for people, and is told from others by a hash of the whole. */
function fit(name: string, length: number): string {
  if (name.length <= length) return name
  const hash = createHash('sha256').update(name).digest('hex').slice(0, 16)
  return `${name.slice(0, length - 17).replace(/-$/, '_')}_${hash}`
}
