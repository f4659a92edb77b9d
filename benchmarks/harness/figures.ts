import type { Speed } from './pace.ts'

/** What a figure must reach. */
export type Bar = { readonly atLeast: number } | { readonly atMost: number }

/** One thing that was measured, once a round. */
export interface Figure {
  readonly name: string
  /** `×` for the ratio of two others of the same round. */
  readonly unit: string
  readonly samples: readonly number[]
  readonly bar?: Bar
}

/** Figures that were measured together, taking turns. */
export interface Section {
  readonly title: string
  readonly store: string
  readonly figures: readonly Figure[]
  readonly notes?: readonly string[]
}

/** What contestants reached and what it cost them, and how the first of them relates to the last. */
export function speedFigures(speeds: Readonly<Record<string, readonly Speed[]>>, what: string, bar?: Bar): readonly Figure[] {
  const rates = Object.entries(speeds).map(([name, samples]): Figure => ({
    name,
    unit: `${what}/s`,
    samples: samples.map(({ perSecond }) => perSecond),
  }))
  const costs = Object.entries(speeds).map(([name, samples]): Figure => ({
    name: `${name}: processor time`,
    unit: `µs a ${what.replace(/s$/, '')}`,
    samples: samples.map(({ cpuMicros }) => cpuMicros),
  }))
  return [...rates, ratio(rates[0]!, rates.at(-1)!, bar), ...costs]
}

/** How one figure of a section relates to another, round by round, so that what slows a round down slows both. */
export function ratio(of: Figure, to: Figure, bar?: Bar): Figure {
  const samples = of.samples.map((sample, round) => sample / to.samples[round]!)
  return { name: `${of.name} ÷ ${to.name}`, unit: '×', samples, ...(bar && { bar }) }
}

export function median(samples: readonly number[]): number {
  return percentile(samples, 50)
}

/** The sample that `percent` of all are not above. */
export function percentile(samples: readonly number[], percent: number): number {
  const sorted = samples.toSorted((a, b) => a - b)
  const middle = sorted.length >> 1
  if (percent === 50 && sorted.length % 2 === 0) return ((sorted[middle - 1] ?? NaN) + (sorted[middle] ?? NaN)) / 2
  return sorted[Math.max(0, Math.ceil((sorted.length * percent) / 100) - 1)] ?? NaN
}

/** Whether the median reaches the bar; undefined where there is none. */
export function isMet({ samples, bar }: Figure): boolean | undefined {
  if (!bar) return undefined
  return 'atLeast' in bar ? median(samples) >= bar.atLeast : median(samples) <= bar.atMost
}
