import { describe, expect, test } from 'vitest'
import { fromCloudEvent, toCloudEvent } from '../../src/message/cloud-event.ts'
import { InvalidCloudEventError } from '../../src/message/errors.ts'
import type { RecordedEvent } from '../../src/message/event.ts'

const recorded: RecordedEvent = {
  id: '019ab-1',
  source: 'orders',
  type: 'OrderPlaced',
  schemaVersion: 2,
  stream: 'order:o-1',
  version: 3,
  position: 4711,
  time: new Date('2026-11-21T12:00:00.120Z'),
  correlationId: 'c-1',
  causationId: 'm-1',
  metadata: {},
  tags: [],
  data: { orderId: 'o-1', total: 12.5 },
}

/** Its smallest form: everything else is optional. */
const foreign = { specversion: '1.0', id: 'st_step 86794_0', source: 'urn:bpi2020:DomesticDeclarations', type: 'DeclarationSubmitted' }

describe('an event as a CloudEvent', () => {
  test('has every part of its envelope as an attribute', () => {
    expect(toCloudEvent(recorded)).toEqual({
      specversion: '1.0',
      id: '019ab-1',
      source: 'orders',
      type: 'OrderPlaced',
      subject: 'order:o-1',
      time: '2026-11-21T12:00:00.120Z',
      datacontenttype: 'application/json',
      schemaversion: 2,
      correlationid: 'c-1',
      causationid: 'm-1',
      sequence: '0000000000000003',
      position: '0000000000004711',
      data: { orderId: 'o-1', total: 12.5 },
    })
  })

  test('has sequences that sort as texts, as their extension demands', () => {
    const sequences = [1, 2, 10, 99, 100, 2 ** 31, Number.MAX_SAFE_INTEGER].map((version) =>
      String(toCloudEvent({ ...recorded, version })['sequence']),
    )
    expect(sequences.toSorted()).toEqual(sequences)
  })

  test('carries metadata as attributes where CloudEvents has a name and a type for it, and the rest and tags beside', () => {
    const metadata = {
      traceparent: '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01',
      retry: false,
      priority: -3,
      dataschema: 'https://example.com/order.json',
      datacontenttype: 'application/vnd.order+json',
      userId: 'a name with a capital',
      ratio: 0.5,
      big: 2 ** 31,
      note: 'two\nlines',
      list: ['a'],
      nothing: null,
      id: 'a name that means something else',
      subject: 'the same',
      sequence: 'the same',
      headwater: 'the same',
    }
    const { traceparent, retry, priority, dataschema, datacontenttype, ...others } = metadata
    const exported = toCloudEvent({ ...recorded, metadata, tags: ['vip', 'late'] })
    expect(exported).toEqual({
      ...toCloudEvent(recorded),
      traceparent,
      retry,
      priority,
      dataschema,
      datacontenttype,
      headwater: exported['headwater'],
    })
    expect(JSON.parse(exported['headwater'] as string)).toEqual({ metadata: others, tags: ['vip', 'late'] })
    expect(fromCloudEvent(exported).event).toMatchObject({ metadata, tags: ['vip', 'late'] })
  })

  test.each([
    ['a control character', 'a\u0001b'],
    ['a control character that JSON leaves as it is', 'a\u007f\u0085b'],
    ['half a surrogate pair', 'a\ud800b'],
    ['what Unicode says is no character', 'a\ufffe\u{1ffff}b'],
  ])('carries metadata that holds %s beside, in writing that an attribute may hold', (_what, note) => {
    const exported = toCloudEvent({ ...recorded, metadata: { note } })
    expect(exported['note']).toBeUndefined()
    expect(exported['headwater']).toMatch(/^[ -~]+$/)
    expect(fromCloudEvent(exported).event.metadata).toEqual({ note })
  })

  test('keeps a time for which the format has no year', () => {
    const time = new Date(8.64e15)
    const exported = toCloudEvent({ ...recorded, time })
    expect(exported.time).toBeUndefined()
    expect(fromCloudEvent(exported).event.time).toEqual(time)
  })
})

describe('a CloudEvent of somebody else', () => {
  test('needs no more than what CloudEvents requires', () => {
    expect(fromCloudEvent(foreign)).toEqual({
      stream: undefined,
      event: { id: 'st_step 86794_0', source: 'urn:bpi2020:DomesticDeclarations', type: 'DeclarationSubmitted', data: null },
    })
  })

  test('is read with all that it says', () => {
    const line =
      '{"specversion": "1.0", "id": "st_step 86794_0", "source": "urn:bpi2020:DomesticDeclarations", "type": "DeclarationSubmitted", ' +
      '"subject": "declaration86791", "time": "2017-01-09T08:49:50Z", "datacontenttype": "application/json", "correlationid": "c-1", ' +
      '"causationid": "m-1", "comexampleextension1": "value", "comexampleothervalue": 5, "data": {"amount": 26.85120450862128}}'
    expect(fromCloudEvent(JSON.parse(line))).toEqual({
      stream: 'declaration86791',
      event: {
        id: 'st_step 86794_0',
        source: 'urn:bpi2020:DomesticDeclarations',
        type: 'DeclarationSubmitted',
        time: new Date('2017-01-09T08:49:50Z'),
        correlationId: 'c-1',
        causationId: 'm-1',
        metadata: { comexampleextension1: 'value', comexampleothervalue: 5 },
        data: { amount: 26.85120450862128 },
      },
    })
  })

  test('may set attributes to null, which is the same as leaving them out', () => {
    const nulls = {
      subject: null,
      time: null,
      datacontenttype: null,
      dataschema: null,
      correlationid: null,
      data_base64: null,
      myext: null,
    }
    expect(fromCloudEvent({ ...foreign, ...nulls })).toEqual(fromCloudEvent(foreign))
  })

  test.each([['a text'], [7], [false], [null], [[1, { a: null }]], [{ a: { b: [] } }]])('may have any JSON as its data: %j', (data) => {
    expect(fromCloudEvent({ ...foreign, data }).event.data).toEqual(data)
  })

  test.each(['application/cloudevents+json', 'application/json; charset=utf-8', 'text/plain', 'application/xml'])(
    'keeps the content type %s, and goes out with it again',
    (datacontenttype) => {
      const { event } = fromCloudEvent({ ...foreign, datacontenttype, data: '<order/>' })
      expect(event).toMatchObject({ data: '<order/>', metadata: { datacontenttype } })
      expect(toCloudEvent({ ...recorded, metadata: event.metadata! })).toMatchObject({ datacontenttype })
    },
  )

  test.each([
    [{ sequence: '17', position: 'front', sequencetype: 'Integer' }],
    [{ sequence: '0000000000000017', position: 'front' }],
    [{ sequence: '0000000000000017' }],
    [{ sequence: 17, position: '0000000000000017' }],
  ])('keeps what others mean by sequence and position: %j', (metadata) => {
    const { event } = fromCloudEvent({ ...foreign, ...metadata })
    expect(event.metadata).toEqual(metadata)
    expect(fromCloudEvent(toCloudEvent({ ...recorded, metadata })).event.metadata).toEqual(metadata)
  })

  test('keeps attributes whose name or value CloudEvents does not allow', () => {
    const odd = { traceParent: '00-1', my_ext: 1, ratio: 0.5, list: [1], object: { a: 1 } }
    expect(fromCloudEvent({ ...foreign, ...odd }).event.metadata).toEqual(odd)
  })

  test('may have come through HTTP headers, where numbers become texts', () => {
    expect(fromCloudEvent({ ...foreign, schemaversion: '2' }).event.schemaVersion).toBe(2)
  })

  test('cannot reach the prototype of anything', () => {
    const line = `{"__proto__": {"polluted": true}, "constructor": "x", ${JSON.stringify(foreign).slice(1)}`
    const { event } = fromCloudEvent(JSON.parse(line))
    expect(Object.getPrototypeOf(event.metadata)).toBe(Object.prototype)
    expect(JSON.stringify(event.metadata)).toBe('{"__proto__":{"polluted":true},"constructor":"x"}')
    expect(({} as Record<string, unknown>)['polluted']).toBeUndefined()
  })
})

describe('what is no CloudEvent', () => {
  test.each([
    [undefined, '(root)', '(root) must be a JSON object, not undefined'],
    [null, '(root)', '(root) must be a JSON object, not null'],
    ['{}', '(root)', "(root) must be a JSON object, not '{}'"],
    [[foreign], '(root)', '(root) must be a JSON object, not a list'],
    [{}, 'specversion', 'specversion is missing'],
    [{ ...foreign, specversion: 1 }, 'specversion', 'specversion must be a text, not 1'],
    [{ ...foreign, specversion: '0.3' }, 'specversion', "specversion must be '1.0', not '0.3'"],
    [{ ...foreign, id: undefined }, 'id', 'id is missing'],
    [{ ...foreign, id: null }, 'id', 'id is missing'],
    [{ ...foreign, id: 86794 }, 'id', 'id must be a text, not 86794'],
    [{ ...foreign, id: '' }, 'id', 'id must not be empty'],
    [{ ...foreign, source: {} }, 'source', 'source must be a text, not an object'],
    [{ ...foreign, source: '' }, 'source', 'source must not be empty'],
    [{ ...foreign, type: ['a'] }, 'type', 'type must be a text, not a list'],
    [{ ...foreign, subject: '' }, 'subject', 'subject must not be empty'],
    [{ ...foreign, subject: 7 }, 'subject', 'subject must be a text, not 7'],
    [{ ...foreign, time: 'yesterday' }, 'time', "time must be an RFC 3339 timestamp like '2026-11-21T12:00:00Z', not 'yesterday'"],
    [{ ...foreign, time: 1479729600 }, 'time', "time must be an RFC 3339 timestamp like '2026-11-21T12:00:00Z', not 1479729600"],
    [{ ...foreign, time: '2026-02-30T12:00:00Z' }, 'time', /^time must be .* not '2026-02-30T12:00:00Z'$/],
    [{ ...foreign, datacontenttype: 1 }, 'datacontenttype', 'datacontenttype must be a text, not 1'],
    [{ ...foreign, dataschema: false }, 'dataschema', 'dataschema must be a text, not false'],
    [{ ...foreign, data_base64: 'AAEC' }, 'data_base64', 'data_base64 is not supported: events hold JSON, not binary data'],
    [{ ...foreign, correlationid: 5 }, 'correlationid', 'correlationid must be a text, not 5'],
    [{ ...foreign, causationid: '' }, 'causationid', 'causationid must not be empty'],
    [{ ...foreign, schemaversion: '1.2.0' }, 'schemaversion', "schemaversion must be a whole number from 1, not '1.2.0'"],
    [{ ...foreign, schemaversion: 0 }, 'schemaversion', 'schemaversion must be a whole number from 1, not 0'],
    [{ ...foreign, schemaversion: 2 ** 31 }, 'schemaversion', 'schemaversion must be a whole number from 1, not 2147483648'],
    [{ ...foreign, headwater: {} }, 'headwater', 'headwater must be a text, not an object'],
    [{ ...foreign, headwater: '{"tags"' }, 'headwater', 'headwater must be the JSON text of an object'],
    [{ ...foreign, headwater: '[]' }, 'headwater', 'headwater must be the JSON text of an object'],
    [{ ...foreign, headwater: '{"metadata":[]}' }, 'headwater', 'headwater holds metadata that is no object'],
    [{ ...foreign, headwater: '{"tags":["a",1]}' }, 'headwater', 'headwater holds tags that are not a list of texts'],
    [{ ...foreign, headwater: '{"timeMs":"1"}' }, 'headwater', 'headwater holds a time that is no number'],
  ])('is refused, and the attribute named: %j', (value, attribute, message) => {
    const read = () => fromCloudEvent(value)
    expect(read).toThrow(InvalidCloudEventError)
    expect(read).toThrow(expect.objectContaining({ code: 'invalid-cloud-event', attribute }))
    expect(read).toThrow(message)
  })

  test('is not repeated at length', () => {
    expect(() => fromCloudEvent({ ...foreign, time: 'x'.repeat(100_000) })).toThrow(/^.{1,200}$/)
  })
})
