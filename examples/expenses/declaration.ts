import { defineAggregate, idOf } from 'headwater'
import type { Fold, Recorded } from 'headwater'
import { events } from './events.ts'

export type State = 'unknown' | 'saved' | 'submitted' | 'approved' | 'approved-finally' | 'rejected' | 'payment-requested' | 'paid'

/** What the events of one declaration say about it. Times are ISO 8601 in UTC, which sort as texts. */
export interface Declaration {
  id: string
  /** What the last event led to. */
  state: State
  /** Millionths of a euro, as the first event has it. */
  amount: number
  events: number
  rejections: number
  /** The first time. */
  submittedAt: string | null
  /** Who approved it last, this time round, before the supervisor's final word; the supervisor where nobody else did. */
  approvedBy: string | null
  paidAt: string | null
  /** From the first submission to the payment; null also for what was paid and never submitted. */
  secondsToPayment: number | null
}

export const initialDeclaration = (id = ''): Declaration => ({
  id,
  state: 'unknown',
  amount: 0,
  events: 0,
  rejections: 0,
  submittedAt: null,
  approvedBy: null,
  paidAt: null,
  secondsToPayment: null,
})

type DeclarationEvent = Recorded<(typeof events)[keyof typeof events]>

function after(declaration: Declaration, { stream, data }: DeclarationEvent, change: Partial<Declaration>): Declaration {
  return {
    ...declaration,
    id: idOf(stream),
    amount: declaration.events === 0 ? data.amount : declaration.amount,
    events: declaration.events + 1,
    ...change,
  }
}

/** How a declaration changes with its events: once for the read model of all, and for each as it was at any time. */
export const evolveDeclaration = {
  DeclarationSaved: (declaration, event) => after(declaration, event, { state: 'saved' }),
  DeclarationSubmitted: (declaration, event) =>
    after(declaration, event, {
      state: 'submitted',
      submittedAt: declaration.submittedAt ?? event.time.toISOString(),
      approvedBy: null,
    }),
  DeclarationApproved: (declaration, event) => after(declaration, event, { state: 'approved', approvedBy: event.data.role }),
  DeclarationFinalApproved: (declaration, event) =>
    after(declaration, event, { state: 'approved-finally', approvedBy: declaration.approvedBy ?? event.data.role }),
  DeclarationRejected: (declaration, event) => after(declaration, event, { state: 'rejected', rejections: declaration.rejections + 1 }),
  PaymentRequested: (declaration, event) => after(declaration, event, { state: 'payment-requested' }),
  PaymentHandled: (declaration, event) =>
    after(declaration, event, {
      state: 'paid',
      paidAt: declaration.paidAt ?? event.time.toISOString(),
      secondsToPayment: declaration.secondsToPayment ?? secondsBetween(declaration.submittedAt, event.time),
    }),
} satisfies Fold<Declaration, typeof events>

/** For `app.state`: a declaration as it was at a time or a version. It takes no commands, since its history was made elsewhere. */
export const declaration = defineAggregate('declaration', { id: 'declarationId', initialState: () => initialDeclaration() })
  .evolve(events, evolveDeclaration)
  .decide({}, {})

function secondsBetween(from: string | null, to: Date): number | null {
  return from === null ? null : Math.round((to.getTime() - Date.parse(from)) / 1_000)
}
