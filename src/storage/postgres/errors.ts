/** What Node says of a connection that cannot be made or broke. */
const socketErrors = new Set([
  'ECONNREFUSED',
  'ECONNRESET',
  'ECONNABORTED',
  'EPIPE',
  'ETIMEDOUT',
  'EHOSTUNREACH',
  'ENETUNREACH',
  'EAI_AGAIN',
  'ENOTFOUND',
])

/** https://www.postgresql.org/docs/current/errcodes-appendix.html */
const transientStates = new Set([
  '40001', // serialization_failure
  '40P01', // deadlock_detected
  '53000', // insufficient_resources
  '53100', // disk_full
  '53300', // too_many_connections
  '55P03', // lock_not_available
  '57014', // query_canceled, by a timeout of the server or by an operator
  '57P01', // admin_shutdown
  '57P02', // crash_shutdown
  '57P03', // cannot_connect_now
  '57P05', // idle_session_timeout
  '25P03', // idle_in_transaction_session_timeout
])

// pg and its pool make these without a code.
const lostConnection =
  /^(?:Connection terminated|Client has encountered a connection error|timeout expired|timeout exceeded when trying to connect|Query read timeout|Client was closed)/

/** The SQLSTATE, or Node's code, of an error; undefined when it has none. */
export function codeOf(error: unknown): string | undefined {
  return error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : undefined
}

/** Whether the same may work a moment later: the connection broke or could not be made, or a lock was not to be had. */
export function isTransient(error: unknown): boolean {
  if (error instanceof AggregateError && error.errors.some(isTransient)) return true
  const code = codeOf(error)
  // 08P01, a protocol violation, is a defect and would come again.
  if (code !== undefined && (socketErrors.has(code) || transientStates.has(code) || (code.startsWith('08') && code !== '08P01')))
    return true
  return error instanceof Error && lostConnection.test(error.message)
}
