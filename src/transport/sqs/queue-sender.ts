import type { SendMessageBatchRequestEntry } from '@aws-sdk/client-sqs'
import type { Environment } from '../../observability/environment.ts'
import { describeError } from '../../observability/log.ts'
import { UnsupportedByTransportError } from '../errors.ts'
import type { SqsClient } from './client.ts'
import type { Delivery } from './delivery.ts'
import { describeEntry, isContentRefusal, isEntryRefusal, isRefusal } from './failure.ts'
import { Lane } from './lane.ts'
import { pause } from './retry.ts'
import type { SqsSettings } from './settings.ts'
import { maxBytes, maxEntries } from './wire.ts'

/** Requests on their way at the same time. More gain nothing: Amazon answers within some milliseconds, and the next request is fuller for waiting. */
const maxRequests = 8

interface Sending {
  readonly lane: Lane
  readonly delivery: Delivery
}

/**
 * Sends to one queue, in requests of ten. Keys are sent beside each other; of one key nothing is sent before what stands in front of it was confirmed, since
 * SQS judges each message of a request by itself, and requests overtake each other.
 */
export class QueueSender {
  readonly #url: string
  readonly #client: SqsClient
  readonly #environment: Environment
  readonly #batchSameKey: boolean
  readonly #isGone: () => Promise<boolean>
  readonly #lanes = new Map<string, Lane>()
  /** Lanes with something to send of which nothing is on its way, in the order in which they will be served. */
  readonly #ready = new Set<Lane>()
  #requests = 0
  #isScheduled = false
  #isPaused = false
  #failures = 0
  /** Why a request failed last: the reason that is told of messages that ran out of time. */
  lastError: unknown

  /** `isGone` finds out whether the queue was deleted. */
  constructor(url: string, client: SqsClient, settings: SqsSettings, environment: Environment, isGone: () => Promise<boolean>) {
    this.#url = url
    this.#client = client
    this.#environment = environment
    this.#batchSameKey = settings.batchSameKey
    this.#isGone = isGone
  }

  add(delivery: Delivery): void {
    const lane = this.#laneOf(delivery.key)
    lane.add(delivery)
    if (!lane.isBusy) this.#ready.add(lane)
    this.#schedule()
  }

  /** What waits of this key is not sent any more. What is on its way may still arrive. */
  abandon(key: string, error: Error): void {
    const lane = this.#lanes.get(key)
    for (const delivery of lane?.clear() ?? []) delivery.fail(error)
  }

  #laneOf(key: string | undefined): Lane {
    if (key === undefined) return new Lane(undefined)
    let lane = this.#lanes.get(key)
    if (!lane) this.#lanes.set(key, (lane = new Lane(key)))
    return lane
  }

  /** Not at once: whoever else publishes in this turn of the event loop shares the request. */
  #schedule(): void {
    if (this.#isScheduled || this.#isPaused) return
    this.#isScheduled = true
    setImmediate(() => {
      this.#isScheduled = false
      this.#pump()
    })
  }

  #pump(): void {
    while (!this.#isPaused && this.#requests < maxRequests) {
      const batch = this.#compose()
      if (batch.length === 0) return
      this.#requests++
      void this.#send(batch)
    }
  }

  #compose(): readonly Sending[] {
    const batch: Sending[] = []
    let bytes = 0
    for (const lane of this.#ready) {
      if (lane.isSuspect && batch.length > 0) continue
      for (let next = lane.next(); next; next = lane.next()) {
        if (batch.length > 0 && bytes + next.encoded.bytes > maxBytes) {
          if (lane.isBusy) this.#ready.delete(lane)
          return batch
        }
        bytes += next.encoded.bytes
        lane.isBusy = true
        batch.push({ lane, delivery: lane.take() })
        if (batch.length === maxEntries || !this.#batchSameKey || lane.isSuspect) break
      }
      this.#ready.delete(lane)
      if (!lane.isBusy) this.#retire(lane)
      if (batch.length === maxEntries || (lane.isSuspect && lane.isBusy)) return batch
    }
    return batch
  }

  async #send(batch: readonly Sending[]): Promise<void> {
    const Entries = batch.map(({ delivery }, index): SendMessageBatchRequestEntry => ({ Id: String(index), ...delivery.encoded.entry }))
    let unsent = batch
    try {
      const { Successful = [], Failed = [] } = await this.#client.sendMessageBatch({ QueueUrl: this.#url, Entries })
      const over = new Set<Sending>()
      for (const { Id } of Successful) over.add(confirm(batch[Number(Id)]!))
      for (const failed of Failed) {
        const sending = batch[Number(failed.Id)]!
        this.lastError = new Error(describeEntry(failed))
        if (isEntryRefusal(failed)) over.add(refuse(sending, describeEntry(failed)))
      }
      if (over.size > 0) this.#failures = 0
      unsent = over.size === batch.length ? [] : batch.filter((sending) => !over.has(sending))
    } catch (error) {
      this.lastError = error
      if (isRefusal(error)) unsent = await this.#questionRefusal(batch, error)
    }
    this.#requests--
    this.#putBack(batch, unsent)
    if (unsent.length > 0) void this.#takeBreath()
    this.#schedule()
  }

  /**
   * A whole request was refused. Its queue may be gone, and its group with it; then there is nothing to send. Else one of its messages may be to blame: each
   * is sent alone from now on, so that it holds up nobody but its key, and is refused when it is the one.
   */
  async #questionRefusal(batch: readonly Sending[], error: unknown): Promise<readonly Sending[]> {
    if (await this.#isGone()) {
      for (const sending of batch) confirm(sending)
      return []
    }
    const [first] = batch
    if (first && batch.length === 1 && isContentRefusal(error)) {
      refuse(first, describeError(error))
      return []
    }
    for (const { lane } of batch) lane.isSuspect = true
    return batch
  }

  #putBack(batch: readonly Sending[], unsent: readonly Sending[]): void {
    for (const { lane, delivery } of unsent.toReversed()) lane.putBack(delivery)
    for (const { lane } of batch) {
      lane.isBusy = false
      if (lane.next()) this.#ready.add(lane)
      else this.#retire(lane)
    }
  }

  #retire(lane: Lane): void {
    if (lane.key !== undefined && this.#lanes.get(lane.key) === lane) this.#lanes.delete(lane.key)
  }

  async #takeBreath(): Promise<void> {
    if (this.#isPaused) return
    this.#isPaused = true
    if (this.#failures === 1)
      this.#environment.log('warn', 'sending to SQS failed and is tried again', { queue: this.#url, error: this.lastError })
    await pause(this.#failures++, this.#environment)
    this.#isPaused = false
    this.#schedule()
  }
}

function confirm(sending: Sending): Sending {
  sending.lane.isSuspect = false
  sending.delivery.confirm()
  return sending
}

function refuse(sending: Sending, reason: string): Sending {
  sending.lane.isSuspect = false
  sending.delivery.refuse(new UnsupportedByTransportError(`SQS refuses the message ${sending.delivery.id}: ${reason}`))
  return sending
}

/** For the message of an error. */
export function because(error: unknown): string {
  return error === undefined ? 'SQS did not answer' : describeError(error)
}
