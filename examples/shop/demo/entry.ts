/** One line of the books. */
export interface Entry {
  readonly claim: string
  /** The figures behind the claim. */
  readonly figures: string
  /** What is not as claimed. */
  readonly wrong: readonly string[]
}
