const seed = 0x9747b28c
const multiplier = 0x5bd1e995

/**
 * The partition to which the Java client, and with it most of the others, sends messages of this key: all messages of a key come together, whoever
 * writes them.
 */
export function partitionOf(key: Uint8Array, partitions: number): number {
  return (murmur2(key) & 0x7fffffff) % partitions
}

/** MurmurHash2 of 32 bits as `org.apache.kafka.common.utils.Utils` has it, as a signed number. */
export function murmur2(data: Uint8Array): number {
  const { length } = data
  const remainder = length & 3
  const end = length - remainder
  let hash = seed ^ length
  for (let at = 0; at < end; at += 4) {
    let word = data[at]! | (data[at + 1]! << 8) | (data[at + 2]! << 16) | (data[at + 3]! << 24)
    word = Math.imul(word, multiplier)
    word ^= word >>> 24
    hash = Math.imul(hash, multiplier) ^ Math.imul(word, multiplier)
  }
  if (remainder > 2) hash ^= data[end + 2]! << 16
  if (remainder > 1) hash ^= data[end + 1]! << 8
  if (remainder > 0) hash = Math.imul(hash ^ data[end]!, multiplier)
  hash ^= hash >>> 13
  hash = Math.imul(hash, multiplier)
  return hash ^ (hash >>> 15)
}
