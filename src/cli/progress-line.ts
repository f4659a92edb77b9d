/** One line on the terminal's standard error that is written over again and again. Where there is no terminal, nothing. */
export class ProgressLine {
  #shownAtMs = 0
  #visible = false

  show(text: () => string): void {
    if (!process.stderr.isTTY || performance.now() - this.#shownAtMs < 100) return
    this.#shownAtMs = performance.now()
    this.#visible = true
    process.stderr.write(`\r\u001b[2K${text().slice(0, process.stderr.columns - 1)}`)
  }

  /** Takes the line away, before anything else is printed. */
  clear(): void {
    if (this.#visible) process.stderr.write('\r\u001b[2K')
    this.#visible = false
  }
}
