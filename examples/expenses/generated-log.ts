export interface GeneratedLog {
  readonly declarations: number
  /** Another seed makes another log, whose events have other identities. Default: 1. */
  readonly seed?: number
}

interface Step {
  readonly chance: number
  readonly type: string
  readonly role: string
  readonly activity: string
  /** After so many days on average. */
  readonly days: number
  readonly leadsTo: Place
}
type Place = 'begun' | 'handed-in' | 'checked' | 'budgeted' | 'approved' | 'ordered' | 'refused' | 'returned' | 'done'

const submit = {
  type: 'DeclarationSubmitted',
  role: 'EMPLOYEE',
  activity: 'Declaration SUBMITTED by EMPLOYEE',
  leadsTo: 'handed-in',
} as const
const approve = (role: string, leadsTo: Place) =>
  ({ type: 'DeclarationApproved', role, activity: `Declaration APPROVED by ${role}`, leadsTo }) as const
const approveFinally = {
  type: 'DeclarationFinalApproved',
  role: 'SUPERVISOR',
  activity: 'Declaration FINAL_APPROVED by SUPERVISOR',
  leadsTo: 'approved',
} as const
const reject = (role: string, leadsTo: Place) =>
  ({ type: 'DeclarationRejected', role, activity: `Declaration REJECTED by ${role}`, leadsTo }) as const

/** What may happen to a declaration next, about as often and as late as it does at the university; the rest of the chance is that nothing does. */
const steps: Readonly<Record<Place, readonly Step[]>> = {
  begun: [
    { chance: 0.987, days: 0, ...submit },
    { chance: 0.013, days: 0, type: 'DeclarationSaved', role: 'EMPLOYEE', activity: 'Declaration SAVED by EMPLOYEE', leadsTo: 'done' },
  ],
  'handed-in': [
    { chance: 0.71, days: 1.2, ...approve('ADMINISTRATION', 'checked') },
    { chance: 0.06, days: 1.2, ...approve('PRE_APPROVER', 'checked') },
    { chance: 0.13, days: 2.5, ...approveFinally },
    { chance: 0.09, days: 1.5, ...reject('ADMINISTRATION', 'refused') },
    { chance: 0.01, days: 1.5, ...reject('MISSING', 'refused') },
  ],
  checked: [
    { chance: 0.31, days: 1.8, ...approve('BUDGET OWNER', 'budgeted') },
    { chance: 0.66, days: 2.2, ...approveFinally },
    { chance: 0.03, days: 2.2, ...reject('SUPERVISOR', 'refused') },
  ],
  budgeted: [
    { chance: 0.98, days: 2.2, ...approveFinally },
    { chance: 0.02, days: 2.2, ...reject('BUDGET OWNER', 'refused') },
  ],
  approved: [{ chance: 1, days: 2.4, type: 'PaymentRequested', role: 'UNDEFINED', activity: 'Request Payment', leadsTo: 'ordered' }],
  ordered: [{ chance: 1, days: 3.6, type: 'PaymentHandled', role: 'UNDEFINED', activity: 'Payment Handled', leadsTo: 'done' }],
  refused: [{ chance: 0.97, days: 2, ...reject('EMPLOYEE', 'returned') }],
  returned: [{ chance: 0.8, days: 3, ...submit }],
  done: [],
}

/**
 * A log of the shape of the university's, as CloudEvents in lines of JSON, in the order of their times. It is made while it is read, and is the same
 * each time; one of more declarations says the same about those that are in both.
 */
export async function* generateLog({ declarations, seed = 1 }: GeneratedLog): AsyncGenerator<string> {
  const arrivals = randomNumbers(seed)
  const open: OpenDeclaration[] = []
  let arrivesAtMs = Date.UTC(2017, 0, 9, 8)
  let arrived = 0
  let lines = ''
  while (arrived < declarations || open.length > 0) {
    if (arrived < declarations && arrivesAtMs <= (open.at(-1)?.nextAtMs ?? Infinity)) {
      insert(open, new OpenDeclaration(++arrived, seed, arrivesAtMs))
      arrivesAtMs += waitMs(arrivals, 0.07)
    }
    const next = open.pop()!
    lines += `${JSON.stringify(next.happen())}\n`
    if (next.nextAtMs < Infinity) insert(open, next)
    if (lines.length < 64 * 1024) continue
    yield lines
    lines = ''
  }
  yield lines
}

class OpenDeclaration {
  readonly #number: number
  readonly #seed: number
  readonly #random: () => number
  readonly #amount: number
  #next: Step | undefined
  #events = 0
  nextAtMs: number

  constructor(number: number, seed: number, arrivedAtMs: number) {
    this.#number = number
    this.#seed = seed
    this.#random = randomNumbers(seed * 1_000_003 + number)
    // Few are large. The dozen decimals are those of blurred amounts.
    this.#amount = 5 + 60 / (0.02 + this.#random()) - 55 * this.#random()
    this.nextAtMs = arrivedAtMs
    this.#choose('begun')
  }

  /** What happens next, as an event; then chooses what will. */
  happen(): object {
    const { type, role, activity, leadsTo } = this.#next!
    const name = this.#seed * 1_000_000 + this.#number
    const event = {
      specversion: '1.0',
      id: `step-${name}-${this.#events++}`,
      source: `urn:headwater:generated-expenses:${this.#seed}`,
      type,
      subject: `declaration${name}`,
      time: new Date(this.nextAtMs).toISOString(),
      datacontenttype: 'application/json',
      data: {
        activity,
        role,
        resource: role === 'UNDEFINED' ? 'SYSTEM' : 'STAFF MEMBER',
        amount: this.#amount,
        budgetNumber: `budget ${name % 40}`,
        declarationNumber: `declaration number ${name}`,
        id: `declaration ${name}`,
      },
    }
    this.#choose(leadsTo)
    return event
  }

  #choose(place: Place): void {
    let left = this.#random()
    this.#next = steps[place].find(({ chance }) => (left -= chance) < 0)
    this.nextAtMs = this.#next ? this.nextAtMs + waitMs(this.#random, this.#next.days) : Infinity
  }
}

/** Keeps them in the order of their next events, the next one last. */
function insert(open: OpenDeclaration[], declaration: OpenDeclaration): void {
  const place = open.findLastIndex(({ nextAtMs }) => nextAtMs > declaration.nextAtMs)
  open.splice(place + 1, 0, declaration)
}

/** A whole number of seconds, exponentially distributed. */
function waitMs(random: () => number, averageDays: number): number {
  return Math.round(-Math.log(1 - random()) * averageDays * 86_400) * 1_000
}

/** Numbers from 0 to below 1, always the same after the same seed (mulberry32). */
function randomNumbers(seed: number): () => number {
  let state = seed | 0
  return () => {
    state = (state + 0x6d2b79f5) | 0
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state)
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296
  }
}
