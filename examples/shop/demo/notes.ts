import type { Log } from 'headwater'

/** For the screen's last line: what stands still, and why. */
export function noteIn(warnings: string[]): Log {
  return (level, message, { processor, failure, retryInMs, ...fields } = {}) => {
    if (level !== 'warn' && level !== 'error') return
    // Of what failed, the reason is enough here: the event that it is about is in the log.
    const details =
      typeof processor === 'string' && typeof failure === 'string'
        ? `${processor}: ${failure.split('): ').at(-1)}; again in ${String(retryInMs)} ms`
        : JSON.stringify({ ...(processor !== undefined && { processor }), ...fields })
    warnings.push(`${new Date().toTimeString().slice(0, 8)} ${message}: ${details}`)
    if (warnings.length > 10) warnings.shift()
  }
}
