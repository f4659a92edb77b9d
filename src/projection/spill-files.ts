import { createHash } from 'node:crypto'
import {
  closeSync,
  lstatSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  readSync,
  renameSync,
  rmSync,
  writeFileSync,
  writeSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

/** Anything that JSON can express. */
export type SpilledRow = readonly unknown[]

/** What the files of one lease hold of each partition, in bytes. Whatever stands behind was not meant to be read. */
interface Segment {
  readonly epoch: number
  readonly sizes: readonly number[]
}

/** How far the files have come. Written under another name and renamed, so that it is whole or not there. */
interface State {
  readonly position: number
  readonly segments: readonly Segment[]
}

const nothing: State = { position: 0, segments: [] }

export interface SpillOptions {
  /** Tells whose files they are: the same text after a restart, another one for everything else. */
  readonly name: string
  /** Of the lease under which they are written. */
  readonly epoch: number
  readonly partitions: number
}

/** Rows that are written together share the cost of a write; a row that is longer is written alone. */
const bytesPerWrite = 16 * 1024
const [opening, comma, closing, lineBreak] = [0x5b, 0x2c, 0x5d, 0x0a]

/** Rows as JSON, waiting to be written: bytes outside the heap, which cost the garbage collector nothing however many they are. */
interface Pending {
  readonly bytes: Buffer
  length: number
}

/**
 * Rows put aside in temporary files, by partition. Each lease writes files of its own, which the next one reads up to where they were known to be
 * good: somebody who was paused and then writes on disturbs nobody. They outlive the process, though not for sure the machine; they lie where
 * `TMPDIR` says, readable by this user only.
 */
export class SpillFiles {
  readonly #directory: string
  readonly #epoch: number
  readonly #earlier: readonly Segment[]
  readonly #files: number[]
  readonly #sizes: number[]
  readonly #pending: readonly Pending[]
  #position: number

  /** What was put aside under an earlier lease, to be gone on with; undefined when there is nothing of use. */
  static resume(options: SpillOptions): SpillFiles | undefined {
    const directory = directoryOf(options.name)
    const state = readState(directory)
    return state && new SpillFiles(directory, options, state)
  }

  static begin(options: SpillOptions): SpillFiles {
    const directory = directoryOf(options.name)
    rmSync(directory, { recursive: true, force: true })
    mkdirSync(directory, { mode: 0o700 })
    return new SpillFiles(directory, options, nothing)
  }

  private constructor(directory: string, { epoch, partitions }: Omit<SpillOptions, 'name'>, { position, segments }: State) {
    this.#directory = directory
    this.#epoch = epoch
    this.#earlier = segments
    this.#position = position
    this.#files = Array.from({ length: partitions }, (_, partition) => openSync(this.#path(epoch, partition), 'w', 0o600))
    this.#sizes = this.#files.map(() => 0)
    this.#pending = this.#files.map(() => ({ bytes: Buffer.allocUnsafeSlow(bytesPerWrite), length: 0 }))
  }

  /** What came up to here is in the files, whatever happens to the process. */
  get position(): number {
    return this.#position
  }

  /** Files for what is made of these, which go with them. */
  beside(): SpillFiles {
    const directory = join(this.#directory, `beside-${this.#epoch}`)
    mkdirSync(directory, { mode: 0o700 })
    return new SpillFiles(directory, { epoch: this.#epoch, partitions: this.#files.length }, nothing)
  }

  add(partition: number, row: SpilledRow): void {
    const pending = this.#pending[partition]!
    const text = JSON.stringify(row)
    // A UTF-16 unit takes three bytes at most; then there are brackets, and the line break.
    const most = text.length * 3 + 3
    if (pending.length + most > bytesPerWrite) this.#write(partition)
    if (most > bytesPerWrite) {
      this.#append(partition, Buffer.from(`[${text}]\n`))
      return
    }
    pending.bytes[pending.length] = pending.length === 0 ? opening : comma
    pending.length += 1 + pending.bytes.write(text, pending.length + 1)
  }

  save(position: number): void {
    for (const partition of this.#pending.keys()) this.#write(partition)
    const state: State = { position, segments: this.#segments }
    const path = join(this.#directory, stateName(this.#epoch))
    writeFileSync(`${path}.new`, JSON.stringify(state), { mode: 0o600 })
    renameSync(`${path}.new`, path)
    this.#position = position
  }

  /** The rows of a partition in the order in which they were added, some at a time. */
  *read(partition: number): Generator<readonly SpilledRow[]> {
    this.#write(partition)
    for (const { epoch, sizes } of this.#segments)
      for (const line of linesOf(this.#path(epoch, partition), sizes[partition]!)) yield JSON.parse(line) as readonly SpilledRow[]
  }

  close(): void {
    for (const file of this.#files.splice(0)) closeSync(file)
  }

  remove(): void {
    this.close()
    rmSync(this.#directory, { recursive: true, force: true })
  }

  get #segments(): readonly Segment[] {
    return [...this.#earlier, { epoch: this.#epoch, sizes: this.#sizes }]
  }

  #write(partition: number): void {
    const pending = this.#pending[partition]!
    if (pending.length === 0) return
    // JSON as it is written here holds no line break, which can therefore stand between the writes.
    pending.bytes[pending.length] = closing
    pending.bytes[pending.length + 1] = lineBreak
    this.#append(partition, pending.bytes.subarray(0, pending.length + 2))
    pending.length = 0
  }

  #append(partition: number, bytes: Buffer): void {
    for (let written = 0; written < bytes.length;) written += writeSync(this.#files[partition]!, bytes, written)
    this.#sizes[partition]! += bytes.length
  }

  #path(epoch: number, partition: number): string {
    return join(this.#directory, `${epoch}-${partition}`)
  }
}

function directoryOf(name: string): string {
  return join(tmpdir(), `headwater-${createHash('sha256').update(name).digest('hex').slice(0, 32)}`)
}

const stateName = (epoch: number): string => `state-${epoch}.json`

/** The state of the last lease that left one, if the files are as it says. */
function readState(directory: string): State | undefined {
  try {
    const { uid, mode } = lstatSync(directory)
    // Where everybody may write, somebody else could have put something under this name.
    if (process.getuid && (uid !== process.getuid() || (mode & 0o077) !== 0)) return undefined
    const epochs = readdirSync(directory).flatMap((name) => /^state-(\d+)\.json$/.exec(name)?.[1] ?? [])
    const state = JSON.parse(readFileSync(join(directory, stateName(Math.max(...epochs.map(Number)))), 'utf8')) as State
    const isWhole = state.segments.every(({ epoch, sizes }) =>
      sizes.every((size, partition) => lstatSync(join(directory, `${epoch}-${partition}`)).size >= size),
    )
    return isWhole ? state : undefined
  } catch {
    return undefined
  }
}

const chunkBytes = 64 * 1024

/** The lines of a file's first `size` bytes. */
function* linesOf(path: string, size: number): Generator<string> {
  const file = openSync(path, 'r')
  try {
    let rest = Buffer.alloc(0)
    for (let offset = 0; offset < size;) {
      const chunk = Buffer.allocUnsafe(Math.min(chunkBytes, size - offset))
      const length = readSync(file, chunk, 0, chunk.length, offset)
      if (length === 0) throw new Error(`${path} ends before its ${size} bytes`)
      offset += length
      const bytes = Buffer.concat([rest, chunk.subarray(0, length)])
      let from = 0
      for (let end = bytes.indexOf(lineBreak); end >= 0; end = bytes.indexOf(lineBreak, from)) {
        yield bytes.toString('utf8', from, end)
        from = end + 1
      }
      rest = bytes.subarray(from)
    }
  } finally {
    closeSync(file)
  }
}
