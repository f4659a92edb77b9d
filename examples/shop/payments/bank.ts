import { randomUUID } from 'node:crypto'
import { DatabaseSync } from 'node:sqlite'
import { setTimeout as delay } from 'node:timers/promises'

export interface BankOptions {
  /** Where the bank keeps its ledger: a file that is not the shop's, so that it outlives a crash of the shop. */
  readonly path: string
  /** How long it takes to answer. Default: 0. */
  readonly latencyMs?: number
  /** How many of its answers get lost on the way, from 0 to 1, after it did as it was told. Default: 0. */
  readonly lostAnswers?: number
}

/** How the bank feels today. It stands in the bank's own file, so that whoever plays the bank can change it while the shop runs. */
export interface Condition {
  /** How long it takes to answer, half as long or half as long again. */
  readonly latencyMs: number
  /** True while it turns everybody away, at once. */
  readonly isDown: boolean
}

/** It grants no more than this for one order, in cents. */
const creditLimit = 25_000

interface Entry {
  readonly payment_id: string
  readonly amount: number
}

/** A payment provider as one meets them: slow, now and then out of reach, and idempotent by the key that it is given. */
export class Bank implements Disposable {
  readonly #path: string
  readonly #latencyMs: number
  readonly #lostAnswers: number
  #opened: DatabaseSync | undefined

  constructor({ path, latencyMs = 0, lostAnswers = 0 }: BankOptions) {
    this.#path = path
    this.#latencyMs = latencyMs
    this.#lostAnswers = lostAnswers
  }

  /** Takes the money, or says why not. Asked again with the same key, it gives the same answer and takes nothing. */
  async charge(request: {
    readonly orderId: string
    readonly amount: number
    readonly idempotencyKey: string
    readonly signal?: AbortSignal
  }): Promise<{ paymentId: string; declined?: string }> {
    const { orderId, amount, idempotencyKey, signal } = request
    const { latencyMs } = this.#ask()
    const kind = amount > creditLimit ? 'declined' : 'charge'
    const { payment_id } = this.#enter(idempotencyKey, orderId, kind, randomUUID(), amount)
    await this.#answer(latencyMs, signal)
    return { paymentId: payment_id, ...(kind === 'declined' && { declined: 'the bank declined the charge' }) }
  }

  /** Gives back what was charged for the order; undefined when nothing was. */
  async refund(request: {
    readonly orderId: string
    readonly idempotencyKey: string
    readonly signal?: AbortSignal
  }): Promise<{ paymentId: string; amount: number } | undefined> {
    const { orderId, idempotencyKey, signal } = request
    const { latencyMs } = this.#ask()
    const charge = this.#ledger.prepare(`SELECT payment_id, amount FROM entry WHERE order_id = ? AND kind = 'charge'`).get(orderId)
    if (!charge) return undefined
    const { payment_id, amount } = charge as unknown as Entry
    this.#enter(idempotencyKey, orderId, 'refund', payment_id, amount)
    await this.#answer(latencyMs, signal)
    return { paymentId: payment_id, amount }
  }

  /** From now on, also for other processes that use the same bank. */
  become({ latencyMs, isDown }: Condition): void {
    this.#ledger
      .prepare(
        `INSERT INTO condition (one, latency_ms, is_down) VALUES (1, ?, ?)
         ON CONFLICT (one) DO UPDATE SET latency_ms = excluded.latency_ms, is_down = excluded.is_down`,
      )
      .run(latencyMs, Number(isDown))
  }

  /** What the bank itself knows about an order: cents taken and given back, and how often it was asked in vain. */
  statement(orderId: string): { readonly charged: number; readonly refunded: number; readonly repeats: number } {
    const sums = this.#ledger
      .prepare(
        `SELECT coalesce(sum(amount) FILTER (WHERE kind = 'charge'), 0) AS charged, coalesce(sum(amount) FILTER (WHERE kind = 'refund'), 0) AS refunded,
           coalesce(sum(requests - 1), 0) AS repeats FROM entry WHERE order_id = ?`,
      )
      .get(orderId)
    return sums as { charged: number; refunded: number; repeats: number }
  }

  [Symbol.dispose](): void {
    this.#opened?.close()
  }

  get #ledger(): DatabaseSync {
    if (this.#opened) return this.#opened
    this.#opened = new DatabaseSync(this.#path, { timeout: 1_000 })
    this.#opened.exec(`
      PRAGMA journal_mode = WAL; PRAGMA synchronous = OFF;
      CREATE TABLE IF NOT EXISTS entry (
        key TEXT PRIMARY KEY, order_id TEXT NOT NULL, kind TEXT NOT NULL, payment_id TEXT NOT NULL, amount INTEGER NOT NULL,
        requests INTEGER NOT NULL DEFAULT 1
      ) STRICT;
      CREATE INDEX IF NOT EXISTS entry_order ON entry (order_id);
      CREATE TABLE IF NOT EXISTS condition (one INTEGER PRIMARY KEY, latency_ms REAL NOT NULL, is_down INTEGER NOT NULL) STRICT`)
    return this.#opened
  }

  #enter(key: string, orderId: string, kind: string, paymentId: string, amount: number): Entry {
    return this.#ledger
      .prepare(
        `INSERT INTO entry (key, order_id, kind, payment_id, amount) VALUES (?, ?, ?, ?, ?)
         ON CONFLICT (key) DO UPDATE SET requests = requests + 1 RETURNING payment_id, amount`,
      )
      .get(key, orderId, kind, paymentId, amount) as unknown as Entry
  }

  /** Throws while the bank takes no requests, before it has done anything. */
  #ask(): { readonly latencyMs: number } {
    const row = this.#ledger.prepare('SELECT latency_ms, is_down FROM condition').get()
    if (row?.['is_down']) throw new Error('the bank is out of service')
    return { latencyMs: Number(row?.['latency_ms'] ?? this.#latencyMs) }
  }

  async #answer(latencyMs: number, signal: AbortSignal | undefined): Promise<void> {
    if (latencyMs > 0) await delay(latencyMs * (0.5 + Math.random()), undefined, signal && { signal })
    if (Math.random() < this.#lostAnswers) throw new Error('the bank did not answer in time')
  }
}
