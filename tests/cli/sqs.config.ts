import { defineEvent, defineHandler, defineService, defineTopic, jsonSchema } from 'headwater'
import { sqs } from 'headwater/sqs'

const Sent = defineEvent('Sent', jsonSchema<{ n: number }>({ type: 'object', required: ['n'] }))
const letters = defineTopic(process.env['POST_TOPIC'] ?? 'letters', { events: [Sent] })
const reader = defineHandler('reader', { on: Sent }, () => {})

/** What the tests of the command line give to `--app`: a service that gets events over Amazon SQS. */
export const service = defineService('post', { handlers: [reader], subscribes: [letters] })
export const transport = sqs({
  endpoint: process.env['POST_SQS'] ?? 'http://127.0.0.1:1',
  region: 'us-east-1',
  credentials: { accessKeyId: 'test', secretAccessKey: 'test' },
  // ElasticMQ moves nothing back to FIFO queues.
  fifo: false,
  queueCacheMs: 50,
  waitTimeSec: 1,
  ...(process.env['POST_REDRIVE'] && { redrive: { maxReceiveCount: 10 } }),
})
