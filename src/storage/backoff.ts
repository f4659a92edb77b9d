export interface Backoff {
  /** The first pause is between 0 and this. */
  readonly firstMs: number
  /** No pause is longer. */
  readonly maxMs: number
}

/** Exponential backoff with full jitter: any time between nothing and `firstMs * 2^attempt`, so that those who failed together spread out. */
export function backoffMs(attempt: number, { firstMs, maxMs }: Backoff, random: () => number): number {
  return random() * Math.min(maxMs, firstMs * 2 ** Math.min(attempt, 30))
}
