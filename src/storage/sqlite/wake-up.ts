import type { FSWatcher } from 'node:fs'
import { watch } from 'node:fs'
import { utimes } from 'node:fs/promises'
import { basename, dirname } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'

/*
 * SQLite has nothing like NOTIFY, but the processes share a file: whoever has appended touches it, and the operating system tells those who
 * watch. The commit itself cannot be the signal: what it writes is noticed before it counts, because it is flushed first, and nothing
 * follows that could be noticed. The time is set through the file's name, since opening and closing the file would drop the locks that
 * SQLite holds on it (a rule of POSIX).
 */

/** From one touch to the next. A touch takes as much processor time as half an append: under load nobody would be any earlier for more of them. */
const touchPauseMs = 5

/** Touches the file after commits: at once, unless it has been touched just now; then once, a moment later, for all that came meanwhile. */
export class Announcer {
  readonly #file: string
  readonly #closing = new AbortController()
  #again = false
  #touching: Promise<void> | undefined

  constructor(file: string) {
    this.#file = file
  }

  announce(): void {
    this.#again = true
    this.#touching ??= this.#touch()
  }

  /** What has been announced is still told. */
  async close(): Promise<void> {
    this.#closing.abort()
    await this.#touching
  }

  async #touch(): Promise<void> {
    while (this.#again) {
      this.#again = false
      const now = new Date()
      // A hint is not worth an error: a file of another user, for example, cannot be touched. The others poll.
      await utimes(this.#file, now, now).catch(() => undefined)
      await delay(touchPauseMs, undefined, { signal: this.#closing.signal, ref: false }).catch(() => undefined)
    }
    this.#touching = undefined
  }
}

export interface Watch {
  readonly file: string
  /** The last position in the log. */
  readonly readHead: () => number
  /** The last position that this process wrote itself. */
  readonly ownHead: () => number
  readonly onCommit: () => void
}

/**
 * Calls `onCommit` when the file was touched and the log goes on behind what this process wrote itself or was told about. The directory is
 * watched and not the file, so that it does not matter when that is replaced.
 *
 * Returns how to stop; until then, it does not keep the process alive. Where nothing can be watched (the system is out of watches, some
 * network file systems) there are no calls, and what is new is found by polling only.
 */
export function watchCommits({ file, readHead, ownHead, onCommit }: Watch): () => void {
  const name = basename(file)
  let seen = 0
  let isScheduled = false
  let watcher: FSWatcher | undefined

  const look = () => {
    isScheduled = false
    if (!watcher) return
    let head = Infinity
    try {
      head = readHead()
    } catch {
      // Locked just now. To be called for nothing is better than not to be called.
    }
    if (head <= Math.max(seen, ownHead())) return
    if (head < Infinity) seen = head
    onCommit()
  }
  const stop = () => {
    watcher?.close()
    watcher = undefined
  }
  try {
    watcher = watch(dirname(file), { persistent: false }, (_, changed) => {
      if (changed !== name || isScheduled) return
      isScheduled = true
      setImmediate(look)
    })
    watcher.on('error', stop)
  } catch {
    stop()
  }
  return stop
}
