import { createHash } from 'node:crypto'
import type { EncodedCondition } from './document-port.ts'

export type Comparable = string | number | boolean | null

/**
 * A value as text that sorts, byte by byte, as the values do: missing and null first, then false and true, numbers, texts. Every store then
 * compares alike, whatever its collations and types are.
 */
export function encodeField(value: unknown): string {
  switch (typeof value) {
    case 'boolean':
      return value ? 'b1' : 'b0'
    case 'number':
      return `n${orderedBits(value)}`
    case 'string':
      return `s${shortened(value.isWellFormed() && !value.includes('\u0000') ? value : value.toWellFormed().replaceAll('\u0000', '\ufffd'))}`
    default:
      return ''
  }
}

/** What the condition means for encoded values. A range holds values of one kind only: numbers, or texts. */
export function encodeCondition(field: number, condition: unknown): EncodedCondition {
  if (typeof condition !== 'object' || condition === null) return { field, in: [encodeField(condition)] }
  if ('in' in condition) return { field, in: (condition.in as readonly Comparable[]).map(encodeField) }
  const { from, below } = condition as { readonly from?: Comparable; readonly below?: Comparable }
  const kind = encodeField(from ?? below).slice(0, 1)
  return {
    field,
    from: from === undefined ? kind : encodeField(from),
    below: below === undefined ? String.fromCharCode(kind.charCodeAt(0) + 1) : encodeField(below),
  }
}

const bits = new DataView(new ArrayBuffer(8))

// IEEE 754 doubles sort as their bits do, once the sign is flipped, and for negative numbers all the rest as well.
function orderedBits(value: number): string {
  bits.setFloat64(0, value === 0 ? 0 : value)
  const raw = bits.getBigUint64(0)
  const ordered = raw >> 63n ? ~raw & 0xffff_ffff_ffff_ffffn : raw | (1n << 63n)
  return ordered.toString(16).padStart(16, '0')
}

const maxIndexedLength = 400

// Databases limit the size of an index entry. Beyond this length equality is still exact, and the order is that of the beginnings.
function shortened(text: string): string {
  if (text.length <= maxIndexedLength) return text
  return `${text.slice(0, maxIndexedLength).toWellFormed()}\uffff${createHash('sha256').update(text).digest('hex')}`
}

/** The words of the texts, without accents and in lower case, each once: what is stored for `search`, and what is searched for. */
export function wordsOf(...texts: readonly unknown[]): readonly string[] {
  const words = new Set<string>()
  for (const text of texts.flat())
    if (typeof text === 'string')
      for (const [word] of text
        .normalize('NFKD')
        .replace(/\p{M}/gu, '')
        .toLowerCase()
        .matchAll(/[\p{L}\p{N}]+/gu))
        words.add(word.slice(0, 100))
  return [...words]
}
