import type { Transport } from 'headwater'

/**
 * The transport with a name of the shop's own before each topic and group, so that several shops, or one that was begun anew, can share a broker and never
 * hear of each other's orders.
 */
export function withOwnTopics(transport: Transport, shop: string): Transport {
  const own = (name: string): string => `${shop}.${name}`
  return {
    name: transport.name,
    async connect(options) {
      const connection = await transport.connect(options)
      return {
        capabilities: connection.capabilities,
        ensureTopic: (topic) => connection.ensureTopic({ ...topic, name: own(topic.name) }),
        ensureGroup: (topic, group, startAt) => connection.ensureGroup(own(topic), own(group), startAt),
        publish: (topic, messages) => connection.publish(own(topic), messages),
        subscribe: (subscription) =>
          connection.subscribe({ ...subscription, topic: own(subscription.topic), group: own(subscription.group) }),
        resetGroup: (topic, group, startAt) => connection.resetGroup(own(topic), own(group), startAt),
        lag: (topic, group) => connection.lag(own(topic), own(group)),
        close: () => connection.close(),
      }
    },
  }
}
