/** 32 bits of a key, as good as random: its place in filters and partitions. */
export function hashOf(key: string): number {
  let hash = 0x811c9dc5
  for (let index = 0; index < key.length; index++) hash = Math.imul(hash ^ key.charCodeAt(index), 0x01000193)
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b)
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35)
  return (hash ^ (hash >>> 16)) >>> 0
}

const bits = 2 ** 27
const probes = 4

/**
 * Remembers keys in 16 MiB, however many they are, at the price of being sure only of those that it does not have (a Bloom filter). Of ten
 * million keys it takes one in a hundred others for one of them.
 */
export class KeyFilter {
  readonly #bits = new Uint32Array(bits / 32)

  add(key: string): void {
    for (const bit of places(key)) this.#bits[bit >>> 5]! |= 1 << (bit & 31)
  }

  mayHave(key: string): boolean {
    for (const bit of places(key)) if ((this.#bits[bit >>> 5]! & (1 << (bit & 31))) === 0) return false
    return true
  }
}

function places(key: string): readonly number[] {
  const first = hashOf(key)
  const step = Math.imul(first, 0x9e3779b1) | 1
  const found: number[] = []
  for (let probe = 0; probe < probes; probe++) found.push((first + Math.imul(step, probe)) & (bits - 1))
  return found
}
