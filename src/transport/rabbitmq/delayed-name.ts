/**
 * Where messages of a topic wait: an exchange of this name, with a queue of this name behind it. There is one for each delay, rounded up to two digits, since a queue
 * lets messages go in the order in which they came: with a delay of its own each would wait for those before it.
 */
export function delayedName(topic: string, delayMs: number): string {
  return `${delayedPrefix(topic)}${roundUp(delayMs)}ms`
}

/** Not the beginning of a group's queue, which is `<topic>.<group>`. */
export function delayedPrefix(topic: string): string {
  return `${topic}@delayed-`
}

/** The exchange by which they come back to the topic, and the queue beside it that keeps nothing. */
export function dueName(topic: string): string {
  return `${topic}@due`
}

/** At most ninety different ones from one power of ten to the next. */
export function roundUp(delayMs: number): number {
  const step = 10 ** Math.max(0, Math.floor(Math.log10(Math.max(1, delayMs))) - 1)
  return Math.ceil(delayMs / step) * step
}
