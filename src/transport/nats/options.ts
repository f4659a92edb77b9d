import type { TlsOptions } from '@nats-io/transport-node'
import { InvalidDefinitionError } from '../../message/errors.ts'

export interface NatsOptions {
  /** `host:port`, or several of one cluster; TLS by `tls` or by `tls://`. */
  readonly servers: string | readonly string[]
  readonly user?: string
  readonly password?: string
  readonly token?: string
  /** The content of a `.creds` file. */
  readonly credentials?: string
  /** The seed of an NKey. */
  readonly nkeySeed?: string
  readonly tls?: TlsOptions
  /** The JetStream domain, where there are several. */
  readonly domain?: string
  /** What inboxes begin with, where an account may not use `_INBOX`. */
  readonly inboxPrefix?: string
  /**
   * How long a message is sent again, with the same id, until it counts as not confirmed. Default: 30,000. Shorter than the time within which the server recognises
   * repetitions (`duplicateWindowMs`).
   */
  readonly publishTimeoutMs?: number
  /**
   * After how long without a sign of life the server gives a process's messages to somebody else; as long as a process runs, its messages are kept for it. After
   * a crash, whoever consumes next waits as long, at most, before anything newer is given out. For groups that are new. Default: 15,000.
   */
  readonly ackWaitMs?: number
  /** How long the server remembers the ids of messages, to drop repetitions; at most as long as it keeps the messages. For topics that are new. Default: 120,000. */
  readonly duplicateWindowMs?: number
  /** Of a topic. Default: 1 for new ones, any for those that are there. */
  readonly replicas?: number
  /** Where messages are kept. Default: `'file'` for new topics, either for those that are there. `'memory'` does not survive the server. */
  readonly storage?: 'file' | 'memory'
}

/** The options with their defaults; those of topics stay open, since they are also checked. */
export type Settings = NatsOptions & Required<Pick<NatsOptions, 'publishTimeoutMs' | 'ackWaitMs' | 'duplicateWindowMs'>>

/** @throws InvalidDefinitionError */
export function settingsOf(options: NatsOptions): Settings {
  const settings = { publishTimeoutMs: 30_000, ackWaitMs: 15_000, duplicateWindowMs: 120_000, ...options }
  const { publishTimeoutMs, duplicateWindowMs } = settings
  if (publishTimeoutMs >= duplicateWindowMs)
    throw new InvalidDefinitionError(
      `publishTimeoutMs (${publishTimeoutMs}) must be below duplicateWindowMs (${duplicateWindowMs}): what is sent again later is stored twice`,
    )
  return settings
}
