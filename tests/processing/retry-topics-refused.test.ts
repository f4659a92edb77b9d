import { describe, expect, test } from 'vitest'
import { InvalidDefinitionError } from '../../src/message/errors.ts'
import { defineHandler } from '../../src/processing/handler.ts'
import { defineService } from '../../src/service/service.ts'
import { start } from '../../src/service/start.ts'
import { defineTopic } from '../../src/transport/topic.ts'
import { MemoryBroker } from '../conformance/memory-transport.ts'
import { memory } from '../support/memory-driver.ts'
import { Asked, Done } from './retry-world.ts'

describe('a definition', () => {
  const define = (options: object): unknown => defineHandler('charge', { on: Asked, ...options }, () => {})

  test.each([
    ['no delay', []],
    ['a descending one', [5_000, 1_000]],
    ['none at all', [0]],
    ['half a millisecond', [0.5]],
    ['one longer than any broker can hold a message', [43_200_001]],
    ['more topics than anybody needs', Array.from({ length: 11 }, () => 1_000)],
  ])('with %s is refused', (_name, delaysMs) => {
    expect(() => define({ whenExhausted: 'retry-topics', retryTopics: { delaysMs } })).toThrow(InvalidDefinitionError)
    expect(() => define({ whenExhausted: 'retry-topics', retryTopics: { delaysMs } })).toThrow(/charge.*delaysMs/)
  })

  test('with retry topics that are never used, or that would try again what may be tried once, is refused', () => {
    expect(() => define({ whenExhausted: 'park', retryTopics: {} })).toThrow(/charge.*retryTopics has no effect/)
    expect(() => define({ retryTopics: { delaysMs: [1_000] } })).toThrow(/charge.*retryTopics has no effect/)
    expect(() => define({ whenExhausted: 'retry-topics', delivery: 'at-most-once' })).toThrow(/charge.*at most once/)
  })

  test('may leave the delays out', () => {
    const handler = defineHandler('charge', { on: Asked, whenExhausted: 'retry-topics' }, () => {})
    expect(handler.lanes.retryDelaysMs).toEqual([5_000, 60_000, 600_000])
  })
})

describe('a service does not start', () => {
  const topic = defineTopic('t', { events: [Asked] })
  const charge = defineHandler('charge', { on: Asked, whenExhausted: 'retry-topics' }, () => {})
  const transport = new MemoryBroker({ ordering: 'partition' })

  test('without a transport, where a handler has retry topics', async () => {
    const service = defineService('s', { handlers: [charge], subscribes: [topic] })
    await expect(start(service, { storage: memory() })).rejects.toThrow(
      /the handler charge has retry topics.*without a transport.*'dead-letter'/,
    )
  })

  test('where a handler with retry topics gets some of its events from the log', async () => {
    const both = defineHandler('charge', { on: [Asked, Done], whenExhausted: 'retry-topics' }, () => {})
    const service = defineService('s', { handlers: [both], subscribes: [topic] })
    await expect(start(service, { storage: memory(), transport })).rejects.toThrow(/the handler charge .*gets Done from the log.*'park'/)
  })

  test('where the name of a retry topic would be none', async () => {
    const long = defineHandler('charge the card', { on: Asked, whenExhausted: 'retry-topics' }, () => {})
    const service = defineService('s', { handlers: [long], subscribes: [topic] })
    await expect(start(service, { storage: memory(), transport })).rejects.toThrow(/t\.s\.charge the card\.retry-1/)
  })
})
