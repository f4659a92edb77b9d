import type { AppModule } from '../app-module.ts'
import type { GlobalOptions } from '../command.ts'
import { consumedTopics } from '../../service/messaging.ts'
import type { TransportConnection } from '../../transport/port.ts'
import { countBrokerLetters } from '../dead-letters/broker-letters.ts'
import { errorCodeOf } from '../exit-codes.ts'
import { messageOf } from '../open-store.ts'
import { withTransport } from '../open-transport.ts'
import { countOf } from '../output.ts'
import type { Finding } from './finding.ts'
import { ok, problem, warning } from './finding.ts'

/** The broker of the app's module, where it has one: whether it answers, knows the groups of the service's handlers, and has put messages aside. */
export async function checkBroker(app: AppModule | undefined, options: GlobalOptions): Promise<readonly Finding[]> {
  if (!app?.transport) return []
  try {
    return await withTransport(app, options, async (connection) => [
      ok('broker', `${connection.capabilities.name}, reachable`),
      ...(await checkGroups(app, connection)),
    ])
  } catch (error) {
    return [problem('broker', `${messageOf(error)} [${errorCodeOf(error)}]`, 'until then nothing is published, and handlers get nothing')]
  }
}

async function checkGroups({ service }: AppModule, connection: TransportConnection): Promise<readonly Finding[]> {
  const findings = await Promise.all(
    (service ? consumedTopics(service) : []).map(async (consumed): Promise<readonly Finding[]> => {
      const { handler, processor, topic, group } = consumed
      try {
        await connection.lag(topic, group)
        const messages = connection.deadLetters && (await countBrokerLetters(connection.deadLetters, consumed)).messages
        if (!messages) return []
        const advice = `mend what kills the processes that get them, then: headwater dead-letters move-back ${handler}`
        return [warning(processor, `the broker itself has put ${countOf(messages, 'message')} aside`, advice)]
      } catch (error) {
        return [warning(processor, messageOf(error), 'start the service once: it makes what is missing')]
      }
    }),
  )
  return findings.flat()
}
