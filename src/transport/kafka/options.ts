import type { ConnectionOptions } from 'node:tls'

/** How to reach the brokers, and how the adapter sends and receives. */
export interface KafkaOptions {
  /** `host:port` of some of the brokers, as a list or separated by commas; the others are found through them. */
  readonly brokers: string | readonly string[]
  /** The user that the broker knows. Without it the broker is not asked to log anybody in. */
  readonly sasl?: KafkaLogin
  /** Encrypts the connections: `true`, or what Node's TLS should know, such as `ca`. Default: not encrypted. */
  readonly tls?: boolean | ConnectionOptions
  /**
   * Of the messages of one batch together. Default: `'none'`, which every consumer can read and which costs the event loop nothing; `'zstd'` and `'lz4'` are worth it
   * where the network or the disk is what is slow.
   */
  readonly compression?: 'none' | 'gzip' | 'snappy' | 'lz4' | 'zstd'
  /** How long a message waits for others to be sent with. Default: 0, since all that come while one batch is under way make the next one anyway. */
  readonly lingerMs?: number
  /** Of the messages that are sent to a partition at once, before compression. Default: 512 KiB; never more than the topic takes. */
  readonly batchBytes?: number
  /** How long a message may be tried before it counts as not confirmed. Default: 60,000. */
  readonly publishTimeoutMs?: number
  /** A consumer that was not heard of for so long is dead to its group, and knows it. Default: 15,000. */
  readonly sessionTimeoutMs?: number
  /** How often a consumer is heard of, and learns that others came or went. Default: a tenth of the session's time-out, at most 2,000. */
  readonly heartbeatMs?: number
}

export interface KafkaLogin {
  readonly mechanism: 'PLAIN' | 'SCRAM-SHA-256' | 'SCRAM-SHA-512'
  readonly username: string
  readonly password: string
}

/** With every default in its place. */
export interface Settings {
  readonly brokers: string[]
  readonly sasl: KafkaLogin | undefined
  readonly tls: ConnectionOptions | undefined
  readonly compression: NonNullable<KafkaOptions['compression']>
  readonly lingerMs: number
  readonly batchBytes: number
  readonly publishTimeoutMs: number
  readonly sessionTimeoutMs: number
  readonly heartbeatMs: number
}

export function withDefaults(options: KafkaOptions): Settings {
  const { brokers, tls } = options
  const list = typeof brokers === 'string' ? brokers.split(',') : brokers
  const sessionTimeoutMs = options.sessionTimeoutMs ?? 15_000
  return {
    brokers: list.map((broker) => broker.trim()),
    sasl: options.sasl,
    tls: tls === true ? {} : tls === false ? undefined : tls,
    compression: options.compression ?? 'none',
    lingerMs: options.lingerMs ?? 0,
    batchBytes: options.batchBytes ?? 512 * 1024,
    publishTimeoutMs: options.publishTimeoutMs ?? 60_000,
    sessionTimeoutMs,
    heartbeatMs: options.heartbeatMs ?? Math.min(2_000, sessionTimeoutMs / 10),
  }
}
