/** What one check found. `problem` makes `headwater doctor` exit with 1; `warning` may be as it should be. */
export interface Finding {
  readonly check: string
  readonly status: 'ok' | 'warning' | 'problem'
  readonly detail: string
  /** What to do about it. */
  readonly advice?: string
}

export const ok = (check: string, detail: string): Finding => ({ check, status: 'ok', detail })
export const warning = (check: string, detail: string, advice: string): Finding => ({ check, status: 'warning', detail, advice })
export const problem = (check: string, detail: string, advice: string): Finding => ({ check, status: 'problem', detail, advice })
