/** A member of a consumer group, as it describes itself when it joins. */
export interface GroupMember {
  readonly id: string
  readonly topics: readonly string[]
  readonly owned: readonly TopicPartitions[]
  /** In which it got what it owns; the higher, the newer. */
  readonly generation: number
}

export interface TopicPartitions {
  readonly topic: string
  readonly partitions: readonly number[]
}

interface Claim {
  readonly member: string
  readonly generation: number
}

/**
 * Shares the partitions of each topic evenly among the members that consume it. Members keep what they have as far as that is even; what one has to give up
 * is given to nobody until it has, which it says by joining again. All members of a group have to agree on that (`cooperative-sticky`), but only
 * the one that leads computes it.
 *
 * The client library has such a function too, which leaves a third member idle beside two that have two partitions each.
 */
export function shareOut(
  members: readonly GroupMember[],
  partitionsOf: (topic: string) => number,
): ReadonlyMap<string, readonly TopicPartitions[]> {
  const shares = new Map(members.map(({ id }): [string, TopicPartitions[]] => [id, []]))
  const loads = new Map(members.map(({ id }) => [id, 0]))
  for (const topic of [...new Set(members.flatMap(({ topics }) => topics))].toSorted()) {
    const eligible = members.filter(({ topics }) => topics.includes(topic))
    for (const [id, partitions] of shareTopic(topic, partitionsOf(topic), eligible, loads)) {
      if (partitions.length > 0) shares.get(id)?.push({ topic, partitions: partitions.toSorted((a, b) => a - b) })
      loads.set(id, (loads.get(id) ?? 0) + partitions.length)
    }
  }
  return shares
}

function shareTopic(
  topic: string,
  count: number,
  members: readonly GroupMember[],
  loads: ReadonlyMap<string, number>,
): ReadonlyMap<string, readonly number[]> {
  const claims = claimsOf(topic, count, members)
  const shares = new Map(members.map(({ id }): [string, number[]] => [id, []]))
  for (const [partition, ofPartition] of claims) {
    const owner = rightfulOwner(ofPartition)
    if (owner !== undefined) shares.get(owner)?.push(partition)
  }
  giveUp(shares, count)

  const taken = new Set([...shares.values()].flat())
  for (let partition = 0; partition < count; partition++) {
    if (taken.has(partition)) continue
    const [, share] = leastLoaded(shares, loads)
    share.push(partition)
  }
  // Counted for who shall have it, but not given to it while somebody else says to have it.
  const withheld = (id: string, partition: number): boolean => claims.get(partition)?.some(({ member }) => member !== id) ?? false
  return new Map([...shares].map(([id, share]) => [id, share.filter((partition) => !withheld(id, partition))]))
}

function claimsOf(topic: string, count: number, members: readonly GroupMember[]): ReadonlyMap<number, readonly Claim[]> {
  const claims = new Map<number, Claim[]>()
  for (const { id, owned, generation } of members)
    for (const partition of owned.filter((of) => of.topic === topic).flatMap(({ partitions }) => partitions))
      if (partition < count) claims.set(partition, [...(claims.get(partition) ?? []), { member: id, generation }])
  return claims
}

/** Who got it last; nobody when two say that they did. */
function rightfulOwner(claims: readonly Claim[]): string | undefined {
  const newest = Math.max(...claims.map(({ generation }) => generation))
  const [owner, ...others] = claims.filter(({ generation }) => generation === newest)
  return others.length === 0 ? owner?.member : undefined
}

/** Takes from the shares what is above an even one; those who have most keep one more where it does not come out even. */
function giveUp(shares: ReadonlyMap<string, number[]>, count: number): void {
  const least = Math.floor(count / shares.size)
  let larger = count % shares.size
  const byLength = [...shares.values()].toSorted((a, b) => b.length - a.length)
  for (const share of byLength) {
    share.sort((a, b) => a - b)
    if (share.length > least && larger > 0) {
      larger--
      share.splice(least + 1)
    } else share.splice(least)
  }
}

function leastLoaded(shares: ReadonlyMap<string, number[]>, loads: ReadonlyMap<string, number>): [string, number[]] {
  const [first] = [...shares].toSorted(
    ([a, shareOfA], [b, shareOfB]) => shareOfA.length - shareOfB.length || (loads.get(a) ?? 0) - (loads.get(b) ?? 0) || (a < b ? -1 : 1),
  )
  if (!first) throw new Error('a topic without members has nobody to be shared among')
  return first
}
