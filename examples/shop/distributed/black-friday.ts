import { setTimeout as delay } from 'node:timers/promises'
import type { Bank, Condition } from '../payments/bank.ts'
import type { Auditor } from './auditor.ts'
import type { BlackFriday } from './options.ts'
import type { ServiceName } from './services.ts'
import type { Report } from './words.ts'

/** What happened in one phase of the day. */
export interface Phase {
  readonly name: string
  readonly seconds: number
  readonly placed: number
  readonly paid: number
  /** How long it took to place an order: sorted. */
  readonly placingMs: readonly number[]
  /** When the phase ended. */
  readonly backlog: number
  readonly deadLetters: number
  /** In the order in which they were seen. */
  readonly breakerStates: readonly string[]
}

/** With what the others are compared. */
export const usualPhases = { before: 'as usual', after: 'as usual again' } as const

const lookEveryMs = 250

/**
 * The bank is as always, then slow, then turns everybody away, then is as always again until nobody waits any more, and a while longer: what else the machine
 * has to do changes in the course of minutes, and orders while the bank is slow are compared with those before and after. Customers come all the while.
 */
export class Day {
  readonly #bank: Bank
  readonly #auditor: Auditor
  readonly #phases: Phase[] = []
  #placingMs: number[] = []
  #breakerStates: string[] = []
  readonly #deadLetters = new Map<ServiceName, number>()
  #name: string | undefined

  constructor(bank: Bank, auditor: Auditor) {
    this.#bank = bank
    this.#auditor = auditor
  }

  get phases(): readonly Phase[] {
    return this.#phases
  }

  get phase(): string | undefined {
    return this.#name
  }

  hear(service: ServiceName, { breakers, deadLetters, front }: Report): void {
    this.#placingMs.push(...(front?.placingMs ?? []))
    for (const { state } of breakers) if (this.#breakerStates.at(-1) !== state) this.#breakerStates.push(state)
    this.#deadLetters.set(service, deadLetters)
  }

  async run({ bankMs, slowMs, calmForMs, slowForMs, failForMs }: BlackFriday, signal: AbortSignal): Promise<readonly Phase[]> {
    const usual = { latencyMs: bankMs, isDown: false }
    // What runs for the first time is slow, which would flatter the comparison.
    await this.#spend('warming up', usual, waitFor(calmForMs / 4), signal)
    await this.#spend(usualPhases.before, usual, waitFor(calmForMs), signal)
    await this.#spend('slow', { latencyMs: slowMs, isDown: false }, waitFor(slowForMs), signal)
    await this.#spend('out of service', { latencyMs: slowMs, isDown: true }, waitFor(failForMs), signal)
    const [, before] = this.#phases
    const usualBacklog = Math.max(before?.backlog ?? 0, 10)
    const drained = async (): Promise<void> => {
      while (!signal.aborted && (await this.#auditor.tally()).backlog > usualBacklog) await delay(lookEveryMs)
      await delay(calmForMs / 4, undefined, { signal }).catch(() => undefined)
    }
    await this.#spend('recovered', usual, drained, signal)
    await this.#spend(usualPhases.after, usual, waitFor(calmForMs), signal)
    return this.#phases
  }

  async #spend(name: string, condition: Condition, until: (signal: AbortSignal) => Promise<void>, signal: AbortSignal): Promise<void> {
    if (signal.aborted) return
    this.#name = `the bank: ${name}`
    this.#bank.become(condition)
    const before = await this.#auditor.tally()
    const startedMs = performance.now()
    this.#placingMs = []
    this.#breakerStates = this.#breakerStates.slice(-1)
    await until(signal)
    const after = await this.#auditor.tally()
    this.#phases.push({
      name,
      seconds: (performance.now() - startedMs) / 1_000,
      placed: after.placed - before.placed,
      paid: after.paid - before.paid,
      placingMs: this.#placingMs.toSorted((a, b) => a - b),
      backlog: after.backlog,
      deadLetters: [...this.#deadLetters.values()].reduce((sum, number) => sum + number, 0),
      breakerStates: this.#breakerStates,
    })
  }
}

function waitFor(ms: number): (signal: AbortSignal) => Promise<void> {
  return (signal) => delay(ms, undefined, { signal }).catch(() => undefined)
}
