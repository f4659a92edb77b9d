import type { ExpectedVersion } from '../write-set.ts'

/** How the commit functions are told what to expect of a stream; from 0 on, the version itself. */
export const expectations = { any: -1, streamExists: -2 } as const

export function encodeExpectation(expected: ExpectedVersion): number {
  switch (expected) {
    case 'any':
      return expectations.any
    case 'no-stream':
      return 0
    case 'stream-exists':
      return expectations.streamExists
    default:
      return expected
  }
}

export function isMet(expected: ExpectedVersion, actual: number): boolean {
  const encoded = encodeExpectation(expected)
  return encoded === actual || encoded === expectations.any || (encoded === expectations.streamExists && actual > 0)
}
