// What the client library's errors say. Theirs are trees: an operation failed, because requests failed, because partitions did.

/** What Kafka's protocol calls the error, such as `TOPIC_ALREADY_EXISTS`, wherever it stands in the tree. */
export function isKafkaError(error: unknown, ...ids: readonly string[]): boolean {
  return [...nodes(error)].some((node) => 'apiId' in node && ids.includes(String(node.apiId)))
}

/** The topic is not there, as the library says it when it knows and as the broker does. */
export function isUnknownTopic(error: unknown): boolean {
  return (
    [...nodes(error)].some((node) => node.message.startsWith('Unknown topic')) ||
    isKafkaError(error, 'UNKNOWN_TOPIC_OR_PARTITION', 'INVALID_TOPIC_EXCEPTION')
  )
}

/** The answer that an error came with, where there was one: it can be good for other partitions than the one that failed. */
export function answersIn(error: unknown): readonly unknown[] {
  return [...nodes(error)].flatMap((node) => ('response' in node ? [node.response] : []))
}

function* nodes(error: unknown): Generator<Error> {
  if (!(error instanceof Error)) return
  yield error
  if (error instanceof AggregateError) for (const inner of error.errors) yield* nodes(inner)
  if (error.cause !== undefined) yield* nodes(error.cause)
}
