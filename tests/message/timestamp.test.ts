import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { formatTimestamp, parseTimestamp } from '../../src/message/timestamp.ts'

describe('a timestamp', () => {
  test.each([
    ['2017-01-09T08:49:50Z', '2017-01-09T08:49:50.000Z'],
    ['2017-01-09t08:49:50z', '2017-01-09T08:49:50.000Z'],
    ['2017-01-09 08:49:50Z', '2017-01-09T08:49:50.000Z'],
    ['1996-12-19T16:39:57-08:00', '1996-12-20T00:39:57.000Z'],
    ['1937-01-01T12:00:27.87+00:20', '1937-01-01T11:40:27.870Z'],
    ['1985-04-12T23:20:50.52Z', '1985-04-12T23:20:50.520Z'],
    ['2026-11-21T12:00:00.123456789+05:45', '2026-11-21T06:15:00.123Z'],
    ['2026-11-21T12:00:00.9999Z', '2026-11-21T12:00:00.999Z'],
    ['2026-11-21T12:00:00-00:00', '2026-11-21T12:00:00.000Z'],
    ['2024-02-29T00:00:00Z', '2024-02-29T00:00:00.000Z'],
    ['1990-12-31T23:59:60Z', '1991-01-01T00:00:00.000Z'],
    ['1990-12-31T15:59:60-08:00', '1991-01-01T00:00:00.000Z'],
    ['0001-01-01T00:00:00Z', '0001-01-01T00:00:00.000Z'],
    ['0099-12-31T23:59:59Z', '0099-12-31T23:59:59.000Z'],
  ])('%s is %s', (text, utc) => {
    expect(parseTimestamp(text)?.toISOString()).toBe(utc)
  })

  test.each([
    '',
    'yesterday',
    '2026-11-21',
    '2026-11-21T12:00:00',
    '2026-11-21T12:00Z',
    '2026-11-21T12:00:00+0100',
    '2026-11-21T12:00:00+01',
    '2026-11-21T12:00:00.Z',
    '2026-11-21T12:00:00 Z',
    ' 2026-11-21T12:00:00Z',
    '2026-11-21T12:00:00Z\n',
    '2026-02-30T12:00:00Z',
    '2026-02-29T12:00:00Z',
    '2026-13-01T12:00:00Z',
    '2026-00-01T12:00:00Z',
    '2026-11-00T12:00:00Z',
    '2026-11-21T24:00:00Z',
    '2026-11-21T12:60:00Z',
    '2026-11-21T12:00:61Z',
    '2026-11-21T12:00:00+24:00',
    '2026-11-21T12:00:00+01:60',
    '26-11-21T12:00:00Z',
    '+002026-11-21T12:00:00Z',
    '２026-11-21T12:00:00Z',
  ])('%j is none', (text) => {
    expect(parseTimestamp(text)).toBeUndefined()
  })

  test('that was written is read as the same time', () => {
    const years0To9999 = { noInvalidDate: true, min: new Date(-62167219200000), max: new Date(253402300799999) }
    fc.assert(
      fc.property(fc.date(years0To9999), (time) => {
        expect(parseTimestamp(formatTimestamp(time)!)).toEqual(time)
      }),
    )
  })

  test('with an offset means the same as Node makes of it', () => {
    const time = fc.date({ noInvalidDate: true, min: new Date('0000-01-02T00:00:00Z'), max: new Date('9999-12-30T00:00:00Z') })
    fc.assert(
      fc.property(time, fc.integer({ min: -1439, max: 1439 }), (local, offset) => {
        const [hours, minutes] = [Math.trunc(Math.abs(offset) / 60), Math.abs(offset) % 60].map((part) => String(part).padStart(2, '0'))
        const text = `${local.toISOString().slice(0, -1)}${offset < 0 ? '-' : '+'}${hours}:${minutes}`
        expect(parseTimestamp(text)).toEqual(new Date(text))
      }),
    )
  })

  test('cannot be written outside the years 0 to 9999', () => {
    expect(formatTimestamp(new Date(-62167219200001))).toBeUndefined()
    expect(formatTimestamp(new Date(253402300800000))).toBeUndefined()
    expect(formatTimestamp(new Date(0))).toBe('1970-01-01T00:00:00.000Z')
  })
})
