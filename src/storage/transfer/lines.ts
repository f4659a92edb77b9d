import { isUtf8 } from 'node:buffer'

/** A line of a source: its text, or why it has none. Numbers begin with 1 and count empty lines too. */
export type Line = { readonly number: number; readonly text: string } | { readonly number: number; readonly problem: string }

/** A line may hold a payload and metadata at their limits, escaped. What is longer is skipped over without being held in memory. */
const maxLineBytes = 16 * 1024 * 1024

const newline = 0x0a

/** The lines of UTF-8 text, in blocks as they come in. Lines end with LF or CRLF, the last one perhaps with nothing; empty ones are left out. */
export async function* readLines(chunks: AsyncIterable<Uint8Array>): AsyncGenerator<readonly Line[]> {
  const begun = new BegunLine()
  let number = 1
  for await (const chunk of chunks) {
    const bytes = Buffer.from(chunk.buffer, chunk.byteOffset, chunk.byteLength)
    const end = bytes.lastIndexOf(newline) + 1
    if (end === 0) {
      begun.add(bytes)
      continue
    }
    const firstEnd = bytes.indexOf(newline)
    const lines: Line[] = []
    begun.add(bytes.subarray(0, firstEnd))
    lines.push(begun.take(number++))
    number = decode(bytes.subarray(firstEnd + 1, end), number, lines)
    begun.add(bytes.subarray(end))
    yield lines.filter(isNotEmpty)
  }
  const last = begun.take(number)
  if (isNotEmpty(last)) yield [last]
}

/** Adds the lines of a block that ends with a newline, or is empty; returns the number of the next line. */
function decode(block: Buffer, firstNumber: number, lines: Line[]): number {
  let number = firstNumber
  if (isUtf8(block)) {
    const texts = block.toString('utf8').split('\n')
    texts.pop()
    for (const text of texts) lines.push({ number: number++, text: withoutReturn(text) })
    return number
  }
  for (let start = 0; start < block.length; number++) {
    const end = block.indexOf(newline, start)
    lines.push(lineOf(block.subarray(start, end), number))
    start = end + 1
  }
  return number
}

/** The line whose end is still to come. */
class BegunLine {
  #parts: Buffer[] = []
  #bytes = 0

  add(bytes: Buffer): void {
    this.#bytes += bytes.length
    if (this.#bytes > maxLineBytes) this.#parts = []
    else this.#parts.push(bytes)
  }

  take(number: number): Line {
    const line =
      this.#bytes > maxLineBytes
        ? { number, problem: `the line has ${this.#bytes} bytes, at most ${maxLineBytes} are read` }
        : lineOf(this.#parts.length === 1 ? this.#parts[0]! : Buffer.concat(this.#parts), number)
    this.#parts = []
    this.#bytes = 0
    return line
  }
}

function lineOf(bytes: Buffer, number: number): Line {
  if (!isUtf8(bytes)) return { number, problem: 'the line is not valid UTF-8' }
  const text = bytes.toString('utf8')
  // A byte order mark, as some editors put it in front of a file.
  return { number, text: withoutReturn(number === 1 && text.startsWith('\ufeff') ? text.slice(1) : text) }
}

function withoutReturn(text: string): string {
  return text.endsWith('\r') ? text.slice(0, -1) : text
}

function isNotEmpty(line: Line): boolean {
  return !('text' in line) || line.text.trim() !== ''
}
