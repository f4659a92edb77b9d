import { HeadwaterError } from '../../message/errors.ts'
import type { Environment } from '../../observability/environment.ts'
import { describeError } from '../../observability/log.ts'
import { backoffMs } from '../../storage/backoff.ts'
import { TransportClosedError, TransportUnavailableError } from '../errors.ts'
import { isRefusal } from './failure.ts'

/** Does it again, after a pause, for as long as that may help. */
export type Retry = <T>(work: () => Promise<T>) => Promise<T>

/** Long enough for a service that is out of breath; short enough that nobody waits much longer than an outage lasts. */
const pauses = { firstMs: 50, maxMs: 2_000 }

/** After so many attempts that failed; ends at once when `signal` is aborted. */
export async function pause(attempt: number, { clock, random }: Environment, signal?: AbortSignal): Promise<void> {
  await clock.sleep(backoffMs(attempt, pauses, random), signal)
}

/** @throws TransportClosedError when the connection is closed meanwhile; what was thrown last, after `timeoutMs` */
export function retrying(environment: Environment, closed: AbortSignal, timeoutMs: number): Retry {
  return async (work) => {
    const untilMs = environment.clock.now() + timeoutMs
    for (let attempt = 0; ; attempt++) {
      try {
        return await work()
      } catch (error) {
        if (closed.aborted) throw new TransportClosedError('sqs')
        if (isRefusal(error) || environment.clock.now() >= untilMs) throw error
      }
      await pause(attempt, environment, closed)
    }
  }
}

/** What the client library throws is an error of the transport, with the reason that SQS gave. */
export async function translated<T>(what: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work()
  } catch (error) {
    if (error instanceof HeadwaterError) throw error
    throw new TransportUnavailableError(`${what}: ${describeError(error)}`, { cause: error })
  }
}
