import { describe, expect, test } from 'vitest'
import type { Line } from '../../../src/storage/transfer/lines.ts'
import { readLines } from '../../../src/storage/transfer/lines.ts'

async function linesOf(bytes: Uint8Array, pieceBytes: number): Promise<readonly Line[]> {
  async function* pieces(): AsyncGenerator<Uint8Array> {
    for (let start = 0; start < bytes.length; start += pieceBytes) yield bytes.subarray(start, start + pieceBytes)
  }
  const lines: Line[] = []
  for await (const block of readLines(pieces())) lines.push(...block)
  return lines
}

const problem = (number: number): Line => ({ number, problem: expect.any(String) })

describe.each([1, 2, 3, 5, 7, 1_000])('in pieces of %i bytes', (pieceBytes) => {
  const read = (text: string) => linesOf(Buffer.from(text), pieceBytes)

  test('lines end with LF, CRLF or the end, and empty ones count', async () => {
    expect(await read('one\ntwo\r\n\n \nfünf 🌊\nsix')).toEqual([
      { number: 1, text: 'one' },
      { number: 2, text: 'two' },
      { number: 5, text: 'fünf 🌊' },
      { number: 6, text: 'six' },
    ])
    expect(await read('one\n')).toEqual([{ number: 1, text: 'one' }])
    expect(await read('')).toEqual([])
  })

  test('a byte order mark is left away', async () => {
    expect(await read('\ufeffone\n\ufefftwo')).toEqual([
      { number: 1, text: 'one' },
      { number: 2, text: '\ufefftwo' },
    ])
  })

  test('a line that is not UTF-8 is a problem of that line', async () => {
    const bytes = Buffer.concat([Buffer.from('one\ntwo'), Buffer.from([0xff]), Buffer.from('\nthree\n'), Buffer.from([0xc3])])
    expect(await linesOf(bytes, pieceBytes)).toEqual([{ number: 1, text: 'one' }, problem(2), { number: 3, text: 'three' }, problem(4)])
  })
})

test('a line that is too long is skipped over', async () => {
  const long = Buffer.alloc(17 * 1024 * 1024, 'x')
  const bytes = Buffer.concat([Buffer.from('one\n'), long, Buffer.from('\nthree\n')])
  expect(await linesOf(bytes, 1024 * 1024)).toEqual([
    { number: 1, text: 'one' },
    { number: 2, problem: expect.stringContaining(`${long.length} bytes`) },
    { number: 3, text: 'three' },
  ])
})
