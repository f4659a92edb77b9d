/** Names that a driver might take for syntax of its database, or for another name. Each may be a stream, a type, an id, a tag, a key. */
export const awkwardNames: readonly string[] = [
  'NULL',
  'null',
  "O'Brien",
  '"quoted"',
  'back\\slash',
  'trailing backslash\\',
  '100%',
  '%',
  'under_score',
  'underXscore',
  'comma,separated',
  '{braced}',
  '[bracketed]*?',
  '$1',
  '?',
  ':name',
  '@name',
  "'; drop table events; --",
  ' leading and trailing ',
  'leading and trailing',
  'ORDER',
  'order',
  'ordér',
  'orde\u0301r',
  'ß',
  'ss',
  '注文',
  '😀👩‍👩‍👧',
  '\u200b',
  '0',
  '00',
  '1e3',
  '1000',
  '-0',
  '__proto__',
  'constructor',
]

/** Text in the order of its UTF-8 bytes, which is how databases compare and not how JavaScript does. */
export function compareBytes(left: string, right: string): number {
  return Buffer.compare(Buffer.from(left), Buffer.from(right))
}
