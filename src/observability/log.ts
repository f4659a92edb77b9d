export type LogLevel = 'debug' | 'info' | 'warn' | 'error'

/** Where Headwater says what an operator should know. Any structured logger fits: `(level, message, fields) => pino[level](fields, message)`. */
export type Log = (level: LogLevel, message: string, fields?: Readonly<Record<string, unknown>>) => void

/** One JSON object a line on standard error, from `info` upwards. */
export const standardErrorLog: Log = (level, message, fields) => {
  if (level === 'debug') return
  process.stderr.write(`${JSON.stringify({ time: new Date().toISOString(), level, message, ...fields }, errorsAsText)}\n`)
}

export const silentLog: Log = () => {}

function errorsAsText(_key: string, value: unknown): unknown {
  return value instanceof Error ? describeError(value) : value
}

/** The error and what lies beneath it, in one line. */
export function describeError(error: unknown): string {
  if (!(error instanceof Error)) return String(error)
  const code = 'code' in error && typeof error.code === 'string' ? ` [${error.code}]` : ''
  const line = `${error.name}${code}: ${error.message}`
  return error.cause === undefined ? line : `${line} <- ${describeError(error.cause)}`
}
