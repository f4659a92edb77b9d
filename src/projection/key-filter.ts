import { hashOf } from '../message/hash.ts'

const bits = 2 ** 26
const words = bits / 32
const mask = words - 1
const probes = 4

/**
 * Remembers keys in 8 MiB, however many they are, at the price of being sure only of those that it does not have (a Bloom filter). Of ten
 * million keys it takes four in a hundred others for one of them.
 */
export class KeyFilter {
  readonly #bits = new Uint32Array(words)

  add(key: string): void {
    const first = hashOf(key)
    const step = stepOf(first)
    for (let probe = 0, place = first; probe < probes; probe++, place += step) this.#bits[(place >>> 5) & mask]! |= 1 << (place & 31)
  }

  mayHave(key: string): boolean {
    const first = hashOf(key)
    const step = stepOf(first)
    for (let probe = 0, place = first; probe < probes; probe++, place += step)
      if ((this.#bits[(place >>> 5) & mask]! & (1 << (place & 31))) === 0) return false
    return true
  }
}

/** Made of other bits than the first place, or keys that share that one would share all; odd, so that the places of a key differ. */
function stepOf(hash: number): number {
  return Math.imul(hash >>> 6, 0x9e3779b1) | 1
}
