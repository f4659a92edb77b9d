import { describe } from 'vitest'
import { leaveOut } from './postgres.ts'

/** Where the brokers of this test run are, as `npm run services -- start` says it. */
const brokers = {
  Kafka: 'KAFKA_BROKERS',
  RabbitMQ: 'RABBITMQ_URL',
  'NATS JetStream': 'NATS_URL',
  'NATS JetStream 2.9': 'NATS_2_9_URL',
  ElasticMQ: 'SQS_ENDPOINT',
  fauxqs: 'SQS_LIMITS_ENDPOINT',
} as const
export type Broker = keyof typeof brokers

/** A suite that needs a broker. Without one it is left out, by name; with HEADWATER_REQUIRE_ALL=1 the run fails. */
export function describeOnBroker(broker: Broker, name: string, suite: (address: string) => void): void {
  const variable = brokers[broker]
  const address = process.env[variable]
  if (address) describe(name, () => suite(address))
  else if (process.env['HEADWATER_REQUIRE_ALL']) throw new Error(`${name} needs ${broker}: ${variable} is not set`)
  else leaveOut(name, `no ${broker}: eval "$(npm run --silent services -- start)" starts it and sets ${variable}`)
}
