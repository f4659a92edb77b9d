import assert from 'node:assert/strict'
import { environment } from '../../observability/environment.ts'
import { silentLog } from '../../observability/log.ts'
import { TransportClosedError, TransportUnavailableError } from '../../transport/errors.ts'
import type { TransportBehaviourGroup } from './behaviour.ts'
import { consume, startOf, topicAndGroup, within } from './consumer.ts'
import { message, publishAll } from './messages.ts'

export const connecting: TransportBehaviourGroup = {
  group: 'connecting',
  behaviours: {
    async 'the capabilities say what the transport is'({ capabilities, harness }) {
      const { name, ordering, startAt, maxMessageBytes } = capabilities
      assert.equal(name, harness.transport.name)
      assert.ok(['partition', 'queue', 'group', 'none'].includes(ordering), ordering)
      assert.ok(startAt.length > 0, 'a group can begin somewhere')
      assert.equal(new Set(startAt).size, startAt.length)
      assert.ok(startAt.every((at) => ['beginning', 'end', 'time'].includes(at)))
      assert.ok(startAt.includes('beginning') || startAt.includes('end'), 'a group can get whatever comes after it was made')
      assert.ok(Number.isSafeInteger(maxMessageBytes) && maxMessageBytes >= 64 * 1024, `maxMessageBytes is ${maxMessageBytes}`)
    },

    async 'a connection that was closed says so, whatever it is asked'(transport) {
      const { topic, group } = await topicAndGroup(transport)
      const connection = await transport.connect()
      await connection.close()
      const run = async (): Promise<void> => {}
      const startAt = startOf(transport.capabilities)
      await assert.rejects(connection.publish(topic, [message('late')]), TransportClosedError)
      await assert.rejects(connection.ensureTopic({ name: topic }), TransportClosedError)
      await assert.rejects(connection.ensureGroup(topic, group, startAt), TransportClosedError)
      await assert.rejects(connection.lag(topic, group), TransportClosedError)
      await assert.rejects(
        connection.subscribe({ topic, group, startAt, maxMessages: 1, maxBytes: 1_000, releaseTimeoutMs: 100, run }),
        TransportClosedError,
      )
    },

    async 'closing twice, also at the same time, is as good as once'({ connect }) {
      const connection = await connect()
      await within(30_000, 'closing', Promise.all([connection.close(), connection.close()]))
      await within(30_000, 'closing again', connection.close())
    },

    async 'closing sends what is being sent'(transport) {
      const { topic, group } = await topicAndGroup(transport)
      const connection = await transport.connect()
      const sent = Array.from({ length: 50 }, (_, index) => message(`m${index}`))
      const publishing = publishAll(connection, topic, sent)
      await connection.close()
      await publishing
      const consumer = await consume(transport.connection, { topic, group })
      await consumer.until(sent.length)
    },

    async 'closing ends the subscriptions'(transport) {
      const { topic, group } = await topicAndGroup(transport)
      const connection = await transport.connect()
      const consumer = await consume(connection, { topic, group })
      await publishAll(transport.connection, topic, [message('one')])
      await consumer.until(1)
      await within(30_000, 'closing', connection.close())
      assert.ok(consumer.runs.length > 0)
      assert.ok(
        consumer.runs.every(({ partition, isOver }) => partition.revoked.aborted && isOver),
        'each run was told and has ended',
      )
      assert.deepEqual(consumer.failures, [])
      await within(30_000, 'closing a subscription that has ended', consumer.close())
    },

    async 'closing one connection leaves others alone'({ connect, connection, topic: newTopic }) {
      const other = await connect()
      const topic = await newTopic()
      await other.close()
      await publishAll(connection, topic, [message('still here')])
    },
  },
}

export const unreachable: TransportBehaviourGroup = {
  group: 'unreachable',
  requires: (_, { unreachable: transport }) => (transport ? true : 'the harness names no address where nobody listens'),
  behaviours: {
    async 'a server that cannot be reached is a clear error, soon'({ harness }) {
      const options = { environment: environment({ log: silentLog }), clientName: 'headwater-conformance' }
      const error: unknown = await within(30_000, 'connecting', harness.unreachable!.connect(options)).then(
        () => assert.fail('connected to nobody'),
        (reason: unknown) => reason,
      )
      assert.ok(error instanceof TransportUnavailableError, `${String(error)} is a TransportUnavailableError`)
      assert.ok(error.message.length > 10, 'the message says what cannot be reached')
    },
  },
}
