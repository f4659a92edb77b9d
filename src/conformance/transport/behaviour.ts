import type { Transport, TransportCapabilities, TransportConnection } from '../../transport/port.ts'

/** What an adapter's author provides: a broker that can be reached. */
export interface TransportHarness {
  /** The transport to a running broker. Behaviours make topics of their own on it, with names that nobody else uses. */
  readonly transport: Transport
  /** Removes a topic with its groups, when the behaviour is over. */
  dispose?(topic: string): Promise<void>
}

/** What a behaviour is given to try itself on. Whatever is opened through it is closed and removed when the behaviour ends. */
export interface TransportUnderTest {
  readonly connection: TransportConnection
  readonly capabilities: TransportCapabilities
  /** A further connection to the same broker, as another process would have it. */
  connect(): Promise<TransportConnection>
  /** A topic that is new and empty, made with so many partitions where the broker has them. */
  topic(options?: { readonly partitions?: number }): Promise<string>
  /** A name that is in use nowhere. */
  unusedName(): string
}

export interface TransportBehaviourGroup {
  readonly group: string
  /** True when the behaviours apply to a transport with these capabilities, else why they do not. Default: they apply to each. */
  readonly requires?: (capabilities: TransportCapabilities) => true | string
  /** What the adapter must do, and how it is shown: rejects (with an AssertionError, as a rule) when the adapter does not. */
  readonly behaviours: Readonly<Record<string, (transport: TransportUnderTest) => Promise<void>>>
}
