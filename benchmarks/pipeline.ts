import { environment } from '../src/observability/environment.ts'
import { silentLog } from '../src/observability/log.ts'
import { defineHandler } from '../src/processing/handler.ts'
import type { Delivery } from '../src/processing/lane-options.ts'
import { defineService } from '../src/service/service.ts'
import { start } from '../src/service/start.ts'
import type { TransportConnection } from '../src/transport/port.ts'
import type { OpenBroker } from './brokers/broker.ts'
import { FilledTopic } from './brokers/filled-topic.ts'
import type { GivenBroker } from './brokers/given.ts'
import { givenBrokers } from './brokers/given.ts'
import type { Benchmark } from './harness/benchmark.ts'
import type { Figure, Section } from './harness/figures.ts'
import { ratio, speedFigures } from './harness/figures.ts'
import type { Lab } from './harness/lab.ts'
import { ItemAdded } from './harness/order-service.ts'
import type { Speed } from './harness/pace.ts'
import { Pace, pacedBy } from './harness/pace.ts'
import { storageAt } from './harness/place.ts'
import { takeTurns } from './harness/rounds.ts'

export const pipeline: Benchmark = {
  name: 'pipeline',
  about:
    'a handler that does nothing, over each transport, with lanes and checkpoint in PostgreSQL, with and without inbox, against a loop on the raw client',
  async *run(lab) {
    if (!lab.stores.includes('postgres')) return
    for (const given of givenBrokers(lab)) {
      await using broker = await given.open()
      const connection = await broker.transport.connect({ environment: environment({ log: silentLog }), clientName: 'benchmark' })
      try {
        yield await measure(lab, given, broker, connection)
      } finally {
        await connection.close()
      }
    }
  },
}

/** What it must reach over Kafka with the inbox, whatever the raw client does. */
const leastOverKafka = 30_000
const service = 'pipeline'

async function measure(lab: Lab, given: GivenBroker, broker: OpenBroker, connection: TransportConnection): Promise<Section> {
  const place = await lab.place('postgres')
  const filled = new FilledTopic(given, broker, connection)
  let turns = 0
  const headwater = async (delivery: Delivery): Promise<Speed> => {
    let calls = 0
    const handler = defineHandler(`count-${++turns}`, { on: ItemAdded, delivery }, () => void calls++)
    const topic = await filled.for(`${service}.${handler.name}`)
    const pace = new Pace(given.messages, { isWhole: given.fetchesFar })
    const app = await start(defineService(service, { handlers: [handler], subscribes: [topic] }), {
      storage: storageAt(place),
      transport: broker.transport,
      log: silentLog,
      metrics: pacedBy(pace),
    })
    const speed = await pace.finished
    await app.stop()
    if (calls !== given.messages) throw new Error(`the handler was called ${calls} times for ${given.messages} messages`)
    return speed
  }
  const raw = async (): Promise<Speed> => {
    const group = `raw-${++turns}`
    const topic = await filled.for(group)
    const pace = new Pace(given.messages, { isWhole: given.fetchesFar })
    await broker.raw.consume(topic.name, group, pace)
    return pace.finished
  }
  const speeds = await takeTurns(
    {
      'without inbox': () => headwater('at-least-once'),
      'with inbox': () => headwater('exactly-once'),
      'raw client': raw,
    },
    lab.rounds,
  )
  await filled.remove()
  const bar = given.pipelineBar === undefined ? undefined : { atLeast: given.pipelineBar }
  const [without, withInbox, client, ...rest] = speedFigures(speeds, 'messages', bar) as [Figure, Figure, Figure, ...Figure[]]
  const least = given.name === 'Kafka' ? { bar: { atLeast: leastOverKafka } } : {}
  return {
    title: `pipeline, ${given.messages.toLocaleString('en')} messages, until they are committed`,
    store: `${given.name}, PostgreSQL`,
    figures: [without, { ...withInbox, ...least }, client, ratio(withInbox, client), ...rest],
    notes: [`raw: ${broker.raw.about}`],
  }
}
