import type { Section } from './figures.ts'
import type { Lab } from './lab.ts'

/** One benchmark: it measures in the lab and gives its sections as they are ready. */
export interface Benchmark {
  readonly name: string
  /** What it measures, in a sentence. */
  readonly about: string
  readonly run: (lab: Lab) => AsyncIterable<Section>
}
