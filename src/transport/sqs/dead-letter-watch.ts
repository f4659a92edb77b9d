import type { Environment } from '../../observability/environment.ts'
import { describeError } from '../../observability/log.ts'

/** SQS tells nobody that it puts a message aside: it has to be asked. */
const lookMs = 60_000

/** Reports how many messages of a group SQS has put aside, for as long as the group is consumed from here. */
export async function watchDeadLetters(
  topic: string,
  group: string,
  count: () => Promise<number>,
  { clock, log, metrics }: Environment,
  signal: AbortSignal,
): Promise<void> {
  const labels = { transport: 'sqs', topic, group }
  let before = 0
  while (!signal.aborted) {
    try {
      const messages = await count()
      metrics.gauge('headwater_transport_dead_letters', messages, labels)
      if (messages > before) log('error', 'SQS has put messages aside that were given out too often', { ...labels, messages })
      before = messages
    } catch (error) {
      if (!signal.aborted) log('warn', 'how many messages SQS has put aside is not known', { ...labels, error: describeError(error) })
    }
    await clock.sleep(lookMs, signal)
  }
}
