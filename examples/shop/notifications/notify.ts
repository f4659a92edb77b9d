import { defineHandler, streamName } from 'headwater'
import { OrderCancelled, OrderPlaced, OrderShipped } from '../orders/events.ts'
import { MessageSent } from './events.ts'

/** Tells customers how their orders stand. What was sent to whom is in the customer's mailbox, a stream of its own. */
export const notify = defineHandler(
  'notifications',
  {
    on: [OrderPlaced, OrderShipped, OrderCancelled],
    emits: MessageSent,
    stream: ({ data }) => streamName('mailbox', data.customerId),
  },
  (event, { emit }) => {
    const { orderId, customerId } = event.data
    emit(MessageSent({ orderId, customerId, text: textOf(event) }))
  },
)

function textOf(event: { type: 'OrderPlaced' | 'OrderShipped' } | { type: 'OrderCancelled'; data: { reason: string } }): string {
  switch (event.type) {
    case 'OrderPlaced':
      return 'Thank you! We are looking for your things.'
    case 'OrderShipped':
      return 'Your parcel is on its way.'
    case 'OrderCancelled':
      return `We are sorry: your order is cancelled, ${event.data.reason}.`
  }
}
