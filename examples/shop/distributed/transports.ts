import type { Transport } from 'headwater'
import { openStorage } from '../demo/storage.ts'

/** What a transport is called on the command line, and where it is. */
export interface Broker {
  readonly kind: 'kafka' | 'rabbitmq' | 'nats' | 'sqs' | 'log'
  readonly address: string
}

/** Clients are loaded only when they are asked for. */
export async function openTransport({ kind, address }: Broker): Promise<Transport> {
  switch (kind) {
    case 'kafka': {
      const { kafka } = await import('headwater/kafka')
      return kafka({ brokers: address })
    }
    case 'rabbitmq': {
      const { rabbitmq } = await import('headwater/rabbitmq')
      return rabbitmq({ url: address })
    }
    case 'nats': {
      const { nats } = await import('headwater/nats')
      return nats({ servers: address.split(',') })
    }
    case 'sqs': {
      const { sqs } = await import('headwater/sqs')
      // A server of one's own knows no users; at Amazon they are found where its tools look for them.
      const isAmazons = address.includes('amazonaws.com')
      return sqs({ endpoint: address, ...(!isAmazons && { credentials: { accessKeyId: 'shop', secretAccessKey: 'shop' } }) })
    }
    case 'log': {
      const { log } = await import('headwater/log')
      return log(await openStorage(address, '--log'))
    }
  }
}
