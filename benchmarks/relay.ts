import { environment } from '../src/observability/environment.ts'
import { silentLog } from '../src/observability/log.ts'
import { defineService } from '../src/service/service.ts'
import { start } from '../src/service/start.ts'
import type { TransportConnection } from '../src/transport/port.ts'
import type { Topic } from '../src/transport/topic.ts'
import { encodeMessage } from '../src/transport/wire.ts'
import type { OpenBroker } from './brokers/broker.ts'
import { startOf } from './brokers/filled-topic.ts'
import type { GivenBroker } from './brokers/given.ts'
import { givenBrokers } from './brokers/given.ts'
import type { Benchmark } from './harness/benchmark.ts'
import type { Section } from './harness/figures.ts'
import { speedFigures } from './harness/figures.ts'
import type { Lab } from './harness/lab.ts'
import { newTopic } from './harness/order-messages.ts'
import type { Speed } from './harness/pace.ts'
import { Pace, pacedBy } from './harness/pace.ts'
import { openStore, storageAt } from './harness/place.ts'
import { takeTurns } from './harness/rounds.ts'

export const relay: Benchmark = {
  name: 'relay',
  about: 'from the log in PostgreSQL to each transport, against its client library that has the same messages at hand',
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

const group = 'all'

async function measure(lab: Lab, given: GivenBroker, broker: OpenBroker, connection: TransportConnection): Promise<Section> {
  const count = given.published
  const place = await lab.orderLog('postgres', count)
  await using store = await openStore(place)
  const turn = (publish: (topic: Topic, pace: Pace) => Promise<void>) => async (): Promise<Speed> => {
    const topic = newTopic(given.partitions)
    await connection.ensureTopic(topic.spec)
    await connection.ensureGroup(topic.name, group, startOf(connection))
    const pace = new Pace(count)
    await publish(topic, pace)
    const speed = await pace.finished
    await broker.remove(topic.name, [group])
    return speed
  }
  const speeds = await takeTurns(
    {
      Headwater: turn(async (topic, pace) => {
        const service = defineService('relay', { publishes: [topic] })
        const options = { storage: storageAt(place), transport: broker.transport, log: silentLog, metrics: pacedBy(pace) }
        const app = await start(service, options)
        pace.begin()
        await pace.finished
        await app.stop()
      }),
      'raw client': turn(async (topic, pace) => {
        const messages = []
        for await (const event of store.readLog()) messages.push(encodeMessage(event, topic))
        pace.begin()
        await broker.raw.publish(topic.name, messages, pace)
      }),
    },
    lab.rounds,
  )
  const title = `relay, ${count.toLocaleString('en')} events, until the checkpoint is past them`
  const notes = [`raw: ${broker.raw.about}; without reading the log; both from the first message`]
  return { title, store: `${given.name}, PostgreSQL`, figures: speedFigures(speeds, 'events'), notes }
}
