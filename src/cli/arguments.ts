import { InvalidArgumentError } from 'commander'

/** A whole number from 0. */
export function parseCount(text: string): number {
  const count = Number(text)
  if (!/^\d+$/.test(text) || !Number.isSafeInteger(count)) throw new InvalidArgumentError('It must be a whole number from 0.')
  return count
}

/** A whole number from 1. */
export function parseAmount(text: string): number {
  const amount = parseCount(text)
  if (amount === 0) throw new InvalidArgumentError('It must be a whole number from 1.')
  return amount
}

/** For options that may stand more than once. */
export function collect(value: string, previous: readonly string[] | undefined): readonly string[] {
  return [...(previous ?? []), value]
}

export type At = { readonly version: number } | { readonly time: Date }

/**
 * A version (`12`) or a time (`2026-03-15T12:00:00Z`, UTC where it names no zone). A day (`2026-03-15`) means its end, so that what happened on
 * it is included.
 */
export function parseAt(text: string): At {
  if (/^\d+$/.test(text)) return { version: parseCount(text) }
  const isDay = /^\d{4}-\d{2}-\d{2}$/.test(text)
  const hasZone = /(Z|[+-]\d{2}:?\d{2})$/i.test(text)
  const time = new Date(isDay ? `${text}T23:59:59.999Z` : hasZone ? text : `${text}Z`)
  if (Number.isNaN(time.getTime()))
    throw new InvalidArgumentError('It must be a version, such as 12, or a time, such as 2026-03-15 or 2026-03-15T12:00:00Z.')
  return { time }
}
