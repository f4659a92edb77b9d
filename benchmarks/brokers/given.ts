import type { Lab } from '../harness/lab.ts'
import type { Broker, OpenBroker } from './broker.ts'
import { kafkaBroker } from './kafka.ts'
import { logBroker } from './log.ts'
import { natsBroker } from './nats.ts'
import { rabbitmqBroker } from './rabbitmq.ts'
import { sqsBroker } from './sqs.ts'

const brokers: readonly Broker[] = [kafkaBroker, rabbitmqBroker, natsBroker, sqsBroker, logBroker]

export interface GivenBroker extends Omit<Broker, 'open'> {
  open(): Promise<OpenBroker>
}

/** The brokers that this run is told of, those of `--broker` where it names some. What is left out is said, by name. */
export function givenBrokers(lab: Lab): readonly GivenBroker[] {
  return brokers.flatMap((broker) => {
    if (lab.brokers && !lab.brokers.includes(broker.name)) return []
    if (broker.variable === undefined && !lab.stores.includes('postgres')) return []
    const address = broker.variable === undefined ? '' : process.env[broker.variable]
    const part = lab.quick ? 0.5 : 1
    if (address !== undefined)
      return [{ ...broker, messages: broker.messages * part, published: broker.published * part, open: () => broker.open(address, lab) }]
    process.stdout.write(
      `${broker.name} is left out: ${broker.variable} is not set; eval "$(npm run --silent services -- start)" starts it and sets it\n\n`,
    )
    return []
  })
}

export const brokerNames: readonly string[] = brokers.map(({ name }) => name)
