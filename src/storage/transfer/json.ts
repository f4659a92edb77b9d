type Reviver = (key: string, value: unknown, context: { readonly source?: string }) => unknown

// TypeScript's library does not know the reviver's third argument yet.
const parse = JSON.parse as (text: string, reviver?: Reviver) => unknown

// Also hits digits within texts, which the slow way then clears.
const longInteger = /(?<![\d.])\d{16,}(?![\d.eE])/

/**
 * The value of a JSON text.
 * @throws SyntaxError when it is not JSON, RangeError when it holds a whole number that a JavaScript number cannot keep, such as a 64-bit id:
 * it would be stored as another number.
 */
export function parseJson(text: string): unknown {
  return longInteger.test(text) ? parse(text, refuseInexact) : parse(text)
}

function refuseInexact(key: string, value: unknown, { source }: { readonly source?: string }): unknown {
  if (typeof value === 'number' && source !== undefined && /^-?\d+$/.test(source) && BigInt(source) !== BigInt(value))
    throw new RangeError(`${key} is ${source}, which would be stored as ${value}: numbers of that size must be written as texts`)
  return value
}
