/** What a stream or consumer may be called without further ado: also a file name everywhere, and one token of a subject. */
const plain = /^[A-Za-z0-9_-]+$/
const utf8 = new TextEncoder()

/**
 * The name of the stream for a topic, or of the durable consumer for a group. NATS forbids dots, blanks and wildcards there: each byte of what is not plain
 * becomes `=XX`, the equals sign too, so that two names never meet. Not `%XX`: NATS 2.9 takes the names for a format when it makes the subjects of acknowledgements.
 */
export function escapeName(name: string): string {
  if (plain.test(name)) return name
  let escaped = ''
  for (const byte of utf8.encode(name)) {
    const character = String.fromCharCode(byte)
    escaped += plain.test(character) ? character : `=${byte.toString(16).toUpperCase().padStart(2, '0')}`
  }
  return escaped
}

/** Everything that is published to a topic. */
export function subjectsOf(stream: string): string {
  return `${stream}.>`
}

/** Longer than any type that a person made up. A subject is a part of one protocol line, of at most 4,096 bytes. */
const maxTypeLength = 200

/** No name becomes this one, see `escapeName`. */
const later = '=later'

/** Of messages that are given out later, which so are told from the others without looking at each. */
export function laterSubjectsOf(stream: string): string {
  return `${stream}.${later}.>`
}

/**
 * `<stream>.<type>`, so that others can listen to some types only; `<stream>.=later.<type>` for what is given out later, since who listens without a group would
 * get it at once. The dots of a type part tokens, as NATS is used to (`orders.com.example.placed`). It is never read back: what has no type, or one that makes no subject,
 * goes to `<stream>._`.
 */
export function subjectOf(stream: string, type: string | undefined, isLater = false): string {
  const start = isLater ? `${stream}.${later}` : stream
  if (!type || type.length > maxTypeLength) return `${start}._`
  const tokens = type.split('.')
  return `${start}.${tokens.includes('') ? escapeName(type) : tokens.map(escapeName).join('.')}`
}
