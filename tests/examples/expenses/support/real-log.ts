import { existsSync } from 'node:fs'
import { join, relative } from 'node:path'
import { describe, expect, test } from 'vitest'
import { leaveOut } from '../../../support/postgres.ts'

const root = join(import.meta.dirname, '../../../..')
const path = process.env['EXPENSES_LOG'] ?? join(root, '../shared/data/expense-declarations.ndjson.gz')

/**
 * A suite on the log of a university's real travel expense declarations (4TU.ResearchData, BPI Challenge 2020). Without that file the suite is left
 * out, by name; where CI requires everything, that is a failure.
 */
export function describeOnRealLog(name: string, suite: (file: string) => void): void {
  const reason = `there is no ${relative(root, path)}: EXPENSES_LOG may name the file expense-declarations.ndjson.gz elsewhere`
  if (existsSync(path)) describe(name, () => suite(path))
  else if (process.env['HEADWATER_REQUIRE_ALL'] && process.env['CI'])
    describe(name, () => test('the log is there', () => expect.fail(reason)))
  else leaveOut(name, reason)
}

/** What its publishers' file holds, counted with other means: see also `countInPlainLoop`. */
export const knownFigures = {
  eventsByType: {
    DeclarationApproved: 11_493,
    DeclarationSubmitted: 11_371,
    DeclarationFinalApproved: 9_999,
    PaymentRequested: 9_914,
    PaymentHandled: 9_912,
    DeclarationRejected: 2_804,
    DeclarationSaved: 135,
  },
  declarations: 10_357,
  declarationsByState: { paid: 9_911, rejected: 312, saved: 134 },
  rejectedAtLeastOnce: 1_278,
  paid: { declarations: 9_912, euros: 894_386.34 },
  longestHistory: { events: 24 },
  rebuilt: { documents: 10_357 },
  verified: [
    { readModel: 'declarations', documents: 10_357, differences: [] },
    { readModel: 'activities', documents: 7, differences: [] },
    { readModel: 'rejections', documents: 6, differences: [] },
    { readModel: 'payments', documents: 25, differences: [] },
  ],
}

export const eventsInLog = 55_628
