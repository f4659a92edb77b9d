import { expect, test } from 'vitest'
import { parseJson } from '../../../src/storage/transfer/json.ts'

test.each(['12345678901234567890', '[1, -12345678901234567890]', '{"data": {"id": 9007199254740993}}'])(
  '%s would become another number',
  (text) => {
    expect(() => parseJson(text)).toThrow(RangeError)
  },
)

test('the message names the field and both numbers', () => {
  expect(() => parseJson('{"id": 9007199254740993}')).toThrow('id is 9007199254740993, which would be stored as 9007199254740992')
})

test.each([
  '9007199254740992',
  '1234567890123456',
  '{"text": "12345678901234567890"}',
  '0.12345678901234567890',
  '26.85120450862128',
  '1.0',
  '10000000000000000',
])('%s is taken as it is', (text) => {
  expect(parseJson(text)).toEqual(JSON.parse(text))
})
