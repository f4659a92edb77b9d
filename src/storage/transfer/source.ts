import { createReadStream } from 'node:fs'
import { pipeline, Readable } from 'node:stream'
import { createGunzip } from 'node:zlib'
import { TransferError } from './errors.ts'

/** What can be imported: the path of a file, or its content in pieces. Texts must not be cut within a character. */
export type ImportSource = string | AsyncIterable<Uint8Array | string>

/**
 * The bytes of the source, unpacked if they begin as gzip does. `onRead` gets the size of each piece as it was before unpacking.
 * @throws TransferError when it cannot be read, or breaks off within packed data.
 */
export async function* readSource(
  source: ImportSource,
  options: { readonly onRead: (bytes: number) => void; readonly signal: AbortSignal | undefined },
): AsyncGenerator<Uint8Array> {
  try {
    const pieces = countBytes(typeof source === 'string' ? openFile(source, options.signal) : source, options.onRead)
    const { isGzip, whole } = await lookAtBeginning(pieces)
    yield* isGzip ? unpack(whole) : whole
  } catch (error) {
    const what = typeof source === 'string' ? source : 'the source'
    throw new TransferError(`cannot read ${what}: ${error instanceof Error ? error.message : String(error)}`, { cause: error })
  }
}

function openFile(path: string, signal: AbortSignal | undefined): AsyncIterable<Uint8Array> {
  return createReadStream(path, signal ? { signal } : {})
}

async function* countBytes(source: AsyncIterable<Uint8Array | string>, onRead: (bytes: number) => void): AsyncGenerator<Uint8Array> {
  for await (const piece of source) {
    const bytes = typeof piece === 'string' ? Buffer.from(piece) : piece
    onRead(bytes.length)
    yield bytes
  }
}

/** Looks for gzip's first two bytes, however small the pieces are in which they come. */
async function lookAtBeginning(
  pieces: AsyncGenerator<Uint8Array>,
): Promise<{ readonly isGzip: boolean; readonly whole: AsyncGenerator<Uint8Array> }> {
  let beginning: Uint8Array = new Uint8Array()
  while (beginning.length < 2) {
    const next = await pieces.next()
    if (next.done) break
    beginning = beginning.length === 0 ? next.value : Buffer.concat([beginning, next.value])
  }
  return { isGzip: beginning[0] === 0x1f && beginning[1] === 0x8b, whole: concatenate(beginning, pieces) }
}

async function* concatenate(beginning: Uint8Array, rest: AsyncGenerator<Uint8Array>): AsyncGenerator<Uint8Array> {
  if (beginning.length > 0) yield beginning
  yield* rest
}

function unpack(packed: AsyncGenerator<Uint8Array>): AsyncIterable<Uint8Array> {
  const unpacked = createGunzip({ chunkSize: 256 * 1024 })
  // A failure on either side destroys `unpacked` with the error, so that whoever iterates it gets it.
  pipeline(Readable.from(packed), unpacked, () => {})
  return unpacked
}
