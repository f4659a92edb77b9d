import type { BatchResultErrorEntry } from '@aws-sdk/client-sqs'

// Servers that speak SQS's protocol name errors differently, and new names come. What counts is whose fault it was and the status; only throttling,
// which Amazon reports as the sender's fault with status 400, must be told from the rest by what its names have in common.

const throttling = /throttl|too_?many_?requests|slow_?down|request_?limit|limit_?exceeded|over_?limit/i

/** The service answered, and the same request would be answered in the same way. Otherwise it can be tried again. */
export function isRefusal(error: unknown): boolean {
  const status = statusOf(error)
  if (status === undefined || status < 400 || status >= 500) return false
  return status !== 408 && status !== 429 && !throttling.test(nameOf(error))
}

const ofContent = /message|parameter|attribute|too_?long/i

/** Of a request with one message: that is to blame. Otherwise it may be a right or a key that is missing, which somebody will mend. */
export function isContentRefusal(error: unknown): boolean {
  return isRefusal(error) && statusOf(error) === 400 && ofContent.test(nameOf(error))
}

/** No answer came at all. */
export function isUnanswered(error: unknown): boolean {
  return statusOf(error) === undefined
}

/** One message of a request was refused for what it is. */
export function isEntryRefusal(failed: BatchResultErrorEntry): boolean {
  return failed.SenderFault === true && !throttling.test(failed.Code ?? '')
}

export function describeEntry({ Code, Message }: BatchResultErrorEntry): string {
  return Message ? `${Code}: ${Message}` : `${Code}`
}

function statusOf(error: unknown): number | undefined {
  if (typeof error !== 'object' || error === null || !('$metadata' in error)) return undefined
  const metadata = error.$metadata
  if (typeof metadata !== 'object' || metadata === null || !('httpStatusCode' in metadata)) return undefined
  return typeof metadata.httpStatusCode === 'number' ? metadata.httpStatusCode : undefined
}

function nameOf(error: unknown): string {
  return error instanceof Error ? error.name : ''
}
