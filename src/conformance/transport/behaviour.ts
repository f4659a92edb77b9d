import type { Transport, TransportCapabilities, TransportConnection } from '../../transport/port.ts'

/** What an adapter's author provides: a broker that can be reached. */
export interface TransportHarness {
  /** The transport to a running broker. Behaviours make topics of their own on it, with names that nobody else uses. */
  readonly transport: Transport
  /** The same kind of transport, told of an address where nobody listens (port 1 of 127.0.0.1, say). Without it nothing is known about such a case. */
  readonly unreachable?: Transport
  /**
   * The same broker, but over a line that can be interrupted, new for each caller: `startTcpProxy` of `headwater/testing` and a transport that is told of its
   * port. Without it nothing is known about lost connections.
   */
  interruptible?(): Promise<InterruptibleTransport>
  /** Removes the messages of a partition up to this offset, as time does. Without it nothing is known about checkpoints older than what is kept. */
  forget?(topic: string, partition: number, upTo: number): Promise<void>
  /** Removes a topic with its groups, when the behaviour is over. */
  dispose?(topic: string): Promise<void>
}

export interface InterruptibleTransport {
  readonly transport: Transport
  /** Breaks the connections that are open; new ones are possible. */
  cut(): void
  /** Breaks them, and new ones too. */
  refuse(): void
  /** Ends `refuse`. */
  accept(): void
  close(): Promise<void>
}

/** What a behaviour is given to try itself on. Whatever is opened through it is closed and removed when the behaviour ends. */
export interface TransportUnderTest {
  readonly harness: TransportHarness
  readonly connection: TransportConnection
  readonly capabilities: TransportCapabilities
  /** A further connection to the same broker, as another process would have it; or one over another transport. */
  connect(transport?: Transport): Promise<TransportConnection>
  /** A topic that is new and empty, made with so many partitions where the broker has them. */
  topic(options?: { readonly partitions?: number }): Promise<string>
  /** A name that is in use nowhere, for a topic or a group: letters, digits and hyphens, at most 40. */
  unusedName(): string
  /** Done when the behaviour ends, before the connections are closed. */
  atEnd(cleanUp: () => Promise<void>): void
}

export interface TransportBehaviourGroup {
  readonly group: string
  /** True when the behaviours apply to a transport with these capabilities and such a harness, else why they do not. Default: they apply to each. */
  readonly requires?: (capabilities: TransportCapabilities, harness: TransportHarness) => true | string
  /** What the adapter must do, and how it is shown: rejects (with an AssertionError, as a rule) when the adapter does not. */
  readonly behaviours: Readonly<Record<string, (transport: TransportUnderTest) => Promise<void>>>
}
