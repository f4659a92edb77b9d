import { uuidv7 } from '../../src/message/id.ts'
import type { OutgoingMessage } from '../../src/transport/port.ts'
import type { Topic } from '../../src/transport/topic.ts'
import { defineTopic } from '../../src/transport/topic.ts'
import { encodeMessage } from '../../src/transport/wire.ts'
import { ItemAdded, OrderPaid, OrderPlaced, OrderShipped } from './order-service.ts'

let topics = 0

/** A topic that was never there before, for all events of the order log. */
export function newTopic(partitions: number | undefined): Topic {
  const name = `bench-${process.pid}-${++topics}`
  return defineTopic(name, { events: [OrderPlaced, ItemAdded, OrderPaid, OrderShipped], ...(partitions !== undefined && { partitions }) })
}

/** Of so many messages in a row, each of another order. */
export const orderCount = 1_000

/** CloudEvents of about 170 bytes with their attributes in headers, as a relay would send them. */
export function orderMessages(topic: Topic, count: number): readonly OutgoingMessage[] {
  return Array.from({ length: count }, (_, index) => {
    const [order, id] = [`order-${index % orderCount}`, uuidv7()]
    const version = Math.floor(index / orderCount) + 1
    const data = {
      orderId: order,
      customerId: `customer-${index % 5_000}`,
      sku: `article-${index % 1_000}`,
      quantity: version,
      price: 12.5,
      currency: 'EUR',
      note: 'please leave it with the neighbours',
    }
    return encodeMessage(
      {
        type: 'ItemAdded',
        data,
        id,
        source: 'orders',
        schemaVersion: 1,
        stream: `order:${order}`,
        version,
        position: index + 1,
        time: new Date(),
        correlationId: id,
        causationId: id,
        metadata: {},
        tags: [],
      },
      topic,
    )
  })
}
