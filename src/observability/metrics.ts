/** Values of a metric are kept apart by these. */
export type Labels = Readonly<Record<string, string>>

/** What every layer reports its figures to. Implementations must be cheap and must not throw. */
export interface Metrics {
  /** Adds to a counter. */
  count(name: MetricName, by?: number, labels?: Labels): void
  /** Sets a gauge. */
  gauge(name: MetricName, value: number, labels?: Labels): void
  /** Adds a duration in milliseconds to a distribution. */
  duration(name: MetricName, ms: number, labels?: Labels): void
}

/** Every metric there is, with what it means. Names follow Prometheus' conventions, durations are in milliseconds. */
export const metricNames = {
  headwater_commit_sets_total: 'write sets committed',
  headwater_commit_batches_total: 'transactions that committed them',
  headwater_commit_refused_total: 'write sets refused, by status',
  headwater_commit_retries_total: 'transactions tried again after a transient error',
  headwater_commit_bisections_total: 'batches split because one of their sets broke them',
  headwater_commit_queue_waits_total: 'appends that had to wait because the queue was full',
  headwater_commit_queue_length: 'write sets waiting to be committed',
  headwater_commit_duration_ms: 'time of one transaction, from sending it to its acknowledgement',
  headwater_events_appended_total: 'events appended by this process',
  headwater_command_conflicts_total: 'commands decided again because of a version conflict, by command',
  headwater_commands_total: 'commands, by command and outcome',
  headwater_command_duration_ms: 'time of a command, by command',
  headwater_tail_reads_total: 'pages that the shared tail read from the log',
  headwater_processor_events_total: 'events processed, by processor',
  headwater_processor_failures_total: 'failed attempts, by processor',
  headwater_processor_position: 'checkpoint, by processor',
  headwater_processor_lag_events: 'events between the checkpoint and the end of the log, by processor',
  headwater_handler_duration_ms: 'time of one attempt of a handler, by processor',
  headwater_handler_retries_total: 'attempts that failed and will be repeated, by processor',
  headwater_messages_held: 'messages that wait behind a failed one of their key, or for another attempt, by processor',
  headwater_messages_parked_total: 'messages given up whose key waits for an operator, by processor',
  headwater_messages_dead_total: 'messages given up alone, by processor',
  headwater_messages_discarded_total: 'messages given up and thrown away, by processor',
  headwater_messages_unknown_total: 'messages of a type that nobody here knows, by topic and type',
  headwater_messages_duplicate_total: 'messages that had been finished before, by processor',
  headwater_dead_letters: 'messages parked or dead, where alerts are watched; counted up to 100 beyond the threshold',
  headwater_dead_letter_age_ms: 'time since the oldest of them failed',
  headwater_breaker_open: '1 while a circuit breaker is open or probing, by breaker',
  headwater_transport_published_total: 'messages that the broker has confirmed, by transport and topic',
  headwater_transport_publish_failures_total: 'messages that it has refused or not confirmed in time, by transport and topic',
  headwater_transport_publish_duration_ms: 'time from handing messages over to their confirmation, by transport and topic',
  headwater_transport_received_total: 'messages received, by transport, topic and group',
  headwater_transport_held: 'messages received and not finished yet, by transport, topic and group',
  headwater_transport_dead_letters: 'messages that the broker itself has put aside, by transport, topic and group, where it is set to',
  headwater_transport_disconnects_total: 'connections lost, by transport',
  headwater_snapshot_failures_total: 'snapshots that could not be written, by aggregate',
} as const
export type MetricName = keyof typeof metricNames

/** Keeps every figure in memory, for a status page, a scrape or a test. */
export class InMemoryMetrics implements Metrics {
  readonly #values = new Map<string, number>()
  readonly #durations = new Map<string, { count: number; sumMs: number; maxMs: number }>()

  count(name: MetricName, by = 1, labels?: Labels): void {
    const key = keyOf(name, labels)
    this.#values.set(key, (this.#values.get(key) ?? 0) + by)
  }

  gauge(name: MetricName, value: number, labels?: Labels): void {
    this.#values.set(keyOf(name, labels), value)
  }

  duration(name: MetricName, ms: number, labels?: Labels): void {
    const key = keyOf(name, labels)
    const seen = this.#durations.get(key) ?? { count: 0, sumMs: 0, maxMs: 0 }
    this.#durations.set(key, { count: seen.count + 1, sumMs: seen.sumMs + ms, maxMs: Math.max(seen.maxMs, ms) })
  }

  /** A counter's or gauge's value; 0 when nothing was reported. */
  value(name: MetricName, labels?: Labels): number {
    return this.#values.get(keyOf(name, labels)) ?? 0
  }

  /** How often, how long altogether and at most; undefined when nothing was reported. */
  durationOf(name: MetricName, labels?: Labels): { readonly count: number; readonly sumMs: number; readonly maxMs: number } | undefined {
    return this.#durations.get(keyOf(name, labels))
  }

  /** All values in Prometheus' text form. */
  toPrometheus(): string {
    const lines = [...this.#values].map(([key, value]) => `${key} ${value}`)
    for (const [key, { count, sumMs }] of this.#durations) {
      const [name = key, labels = ''] = key.split(/(?=\{)/)
      lines.push(`${name}_count${labels} ${count}`, `${name}_sum${labels} ${sumMs}`)
    }
    return `${lines.toSorted().join('\n')}\n`
  }
}

function keyOf(name: MetricName, labels: Labels | undefined): string {
  if (!labels) return name
  const pairs = Object.entries(labels).map(([label, value]) => `${label}="${value.replace(/["\\\n]/g, '\\$&')}"`)
  return `${name}{${pairs.join(',')}}`
}
