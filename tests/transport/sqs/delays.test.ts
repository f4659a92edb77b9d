import type { ChangeMessageVisibilityBatchCommandInput, Message } from '@aws-sdk/client-sqs'
import { randomUUID } from 'node:crypto'
import { describe, expect, onTestFinished, test } from 'vitest'
import { environment } from '../../../src/observability/environment.ts'
import { silentLog } from '../../../src/observability/log.ts'
import type { OutgoingMessage } from '../../../src/transport/port.ts'
import type { SqsClient } from '../../../src/transport/sqs/client.ts'
import { dueMsOf } from '../../../src/transport/sqs/delay.ts'
import { encode } from '../../../src/transport/sqs/encode.ts'
import { GroupQueue } from '../../../src/transport/sqs/group-queue.ts'
import { sqs } from '../../../src/transport/sqs/index.ts'
import { describeOnBroker } from '../../support/brokers.ts'
import { eventually } from '../../support/eventually.ts'
import { collect } from '../collect.ts'
import { near } from './support.ts'

function outgoing(text: string, given: Partial<OutgoingMessage> = {}): OutgoingMessage {
  return { id: randomUUID(), key: 'k', attributes: {}, headers: {}, body: Buffer.from(text), ...given }
}

function received({ entry }: ReturnType<typeof encode>): Message {
  return { Body: entry.MessageBody!, MessageAttributes: entry.MessageAttributes! }
}

describe('a message for later', () => {
  test('is left to a standard queue, in whole seconds, rounded up', () => {
    const encoded = encode(outgoing('x', { delayMs: 1_001 }), false, 5_000)
    expect(encoded.entry.DelaySeconds).toBe(2)
    expect(dueMsOf(received(encoded))).toBe(0)
    expect(encode(outgoing('x'), false, 5_000).entry).not.toHaveProperty('DelaySeconds')
  })

  test('says in a FIFO queue when it is due, and is a group of its own, since those have no delay of a message', () => {
    const encoded = encode(outgoing('x', { id: 'id-1', delayMs: 1_001 }), true, 5_000)
    expect(encoded.entry).toMatchObject({ MessageGroupId: 'id-1', MessageDeduplicationId: 'id-1' })
    expect(encoded.entry).not.toHaveProperty('DelaySeconds')
    expect(dueMsOf(received(encoded))).toBe(6_001)
    expect(dueMsOf(received(encode(outgoing('x'), true, 5_000)))).toBe(0)
  })

  test('is told from one with a header of that name', () => {
    const headers = Object.fromEntries(Array.from({ length: 12 }, (_, index) => [`h${index}`, '1']))
    expect(dueMsOf(received(encode(outgoing('x', { headers: { ...headers, deliverAtMs: '1e15' } }), true, 0)))).toBe(0)
  })

  test('is hidden for as long as Amazon allows, and again when that was too short', async () => {
    const asked: ChangeMessageVisibilityBatchCommandInput[] = []
    const client = { changeVisibilityBatch: async (input: ChangeMessageVisibilityBatchCommandInput) => void asked.push(input) }
    const queue = new GroupQueue('url', client as unknown as SqsClient, true, 30)
    await queue.hide([
      { receiptHandle: 'long', hiddenMs: 12 * 3_600_000 },
      { receiptHandle: 'short', hiddenMs: 1_001 },
    ])
    expect(asked[0]!.Entries!.map((entry) => [entry.ReceiptHandle, entry.VisibilityTimeout])).toEqual([
      ['long', 43_000],
      ['short', 2],
    ])
  })
})

describeOnBroker('ElasticMQ', 'messages for later on SQS', (endpoint) => {
  test('in a FIFO queue hold up neither their key nor others, however many they are', async () => {
    const connection = await sqs(near(endpoint)).connect({ environment: environment({ log: silentLog }), clientName: 'delays' })
    onTestFinished(() => connection.close())
    const topic = `delays-${randomUUID()}`
    await connection.ensureTopic({ name: topic })
    await connection.ensureGroup(topic, 'g', { at: 'end' })
    const later = Array.from({ length: 150 }, () => outgoing('later', { delayMs: 3_600_000 }))
    for (const outcome of await connection.publish(topic, later)) expect(outcome).toEqual({ ok: true })
    await connection.publish(topic, [outgoing('1'), outgoing('soon', { delayMs: 1_500 }), outgoing('2')])
    const arrived = await collect(connection, { topic, group: 'g', maxMessages: 20 })
    const texts = (): readonly string[] => arrived.map(({ body }) => Buffer.from(body).toString())
    await eventually(() => expect(texts()).toHaveLength(3))
    expect(texts().filter((text) => text !== 'soon')).toEqual(['1', '2'])
    await eventually(async () => expect(await connection.lag(topic, 'g')).toEqual([{ partition: undefined, messages: 150 }]))
  })
})
