import { z } from 'zod'
import { defineEvent } from 'headwater'

/** Version 1: the payload as the university's system wrote it, amounts as floating-point numbers of euros. */
const asExported = z.object({
  activity: z.string(),
  role: z.string(),
  resource: z.string(),
  amount: z.number(),
  budgetNumber: z.string(),
  declarationNumber: z.string(),
  id: z.string(),
})

/** Version 2: what a reader wants to know. Imported events stay as they are in the log, and are turned into this one when they are read. */
const asWanted = z.object({
  /** Who did it; null where the system did, or the log does not know. */
  role: z.string().nullable(),
  /** Millionths of a euro. */
  amount: z.int(),
})

/**
 * Sums of whole numbers are exact and do not depend on their order, whatever is imported, rebuilt or repaired. Cents would be too coarse: the amounts
 * were blurred to keep the claimants' secrets and have a dozen decimals, so that rounding each to cents moves the total by almost a euro, while
 * millionths move ten thousand declarations by less than half a cent.
 */
function clean({ role, amount }: z.infer<typeof asExported>): z.infer<typeof asWanted> {
  return { role: role === 'UNDEFINED' || role === 'MISSING' ? null : role, amount: Math.round(amount * 1_000_000) }
}

export const DeclarationSaved = defineEvent('DeclarationSaved', asExported).version(2, asWanted, clean)
export const DeclarationSubmitted = defineEvent('DeclarationSubmitted', asExported).version(2, asWanted, clean)
export const DeclarationApproved = defineEvent('DeclarationApproved', asExported).version(2, asWanted, clean)
export const DeclarationFinalApproved = defineEvent('DeclarationFinalApproved', asExported).version(2, asWanted, clean)
export const DeclarationRejected = defineEvent('DeclarationRejected', asExported).version(2, asWanted, clean)
export const PaymentRequested = defineEvent('PaymentRequested', asExported).version(2, asWanted, clean)
export const PaymentHandled = defineEvent('PaymentHandled', asExported).version(2, asWanted, clean)

export const events = {
  DeclarationSaved,
  DeclarationSubmitted,
  DeclarationApproved,
  DeclarationFinalApproved,
  DeclarationRejected,
  PaymentRequested,
  PaymentHandled,
}
