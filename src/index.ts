export { defineEvent } from './message/event.ts'
export type {
  AnyEvent,
  EventBase,
  EventDefinition,
  EventMap,
  EventOptions,
  Metadata,
  New,
  NewEvent,
  Recorded,
  RecordedEvent,
  TransformingEvent,
} from './message/event.ts'
export { defineCommand, reject } from './message/command.ts'
export type {
  AnyCommand,
  Command,
  CommandBase,
  CommandDefinition,
  CommandMap,
  CommandOf,
  Reject,
  RejectionOf,
  TransformingCommand,
} from './message/command.ts'
export { accepted, RejectedError } from './message/outcome.ts'
export type { Accepted, Rejected, SendResult } from './message/outcome.ts'
export type { Schema } from './message/schema.ts'
export { HeadwaterError, InvalidCloudEventError, InvalidDefinitionError, InvalidMessageError } from './message/errors.ts'
export { fromCloudEvent, toCloudEvent } from './message/cloud-event.ts'
export type { CloudEvent, ImportedEvent } from './message/cloud-event.ts'
export { systemClock } from './message/clock.ts'
export type { Clock } from './message/clock.ts'
export { uuidv7 } from './message/id.ts'
export { currentContext, onBehalfOf } from './message/context.ts'
export type { MessageContext } from './message/context.ts'

export { InMemoryMetrics, metricNames } from './observability/metrics.ts'
export type { Labels, MetricName, Metrics } from './observability/metrics.ts'
export { silentLog, standardErrorLog } from './observability/log.ts'
export type { Log, LogLevel } from './observability/log.ts'
export type { Environment } from './observability/environment.ts'

export { jsonSchema } from './schema/json-schema.ts'
export { UnknownEventError } from './schema/upcast.ts'

export { EventStore } from './storage/event-store.ts'
export type { AppendOptions, AppendResult, EventStoreOptions, ReadLogOptions, ReadStreamOptions } from './storage/event-store.ts'
export type { LogState, Storage, StreamInfo } from './storage/port.ts'
export type { AppendCondition, EventQuery, EventQueryItem, ExpectedVersion } from './storage/write-set.ts'
export {
  CommandIdReusedError,
  ConditionFailedError,
  FencedError,
  IdReusedError,
  InboxConflictError,
  InvalidEventError,
  LogGapError,
  MissingPackageError,
  OverloadError,
  StorageError,
  StoreClosedError,
  StoreUnavailableError,
  UnsupportedStoreError,
  VersionConflictError,
} from './storage/errors.ts'
export { categoryOf, idOf, streamName } from './storage/stream-name.ts'
export { importEvents } from './storage/transfer/import-events.ts'
export type { ImportOptions, ImportResult } from './storage/transfer/import-events.ts'
export type { BadLine, ImportProgress } from './storage/transfer/progress.ts'
export type { ImportSource } from './storage/transfer/source.ts'
export { exportEvents } from './storage/transfer/export-events.ts'
export type { ExportOptions, ExportProgress } from './storage/transfer/export-events.ts'
export { BadLineError, TransferError } from './storage/transfer/errors.ts'

export { defineHandler } from './processing/handler.ts'
export type {
  FailureOptions,
  Handler,
  HandlerBasics,
  HandlerContext,
  HandlerOptions,
  RetryTopicsFailureOptions,
} from './processing/handler.ts'
export type { RetryTopicsOptions } from './processing/retry-topics.ts'
export type { Delivery, WhenExhausted } from './processing/lane-options.ts'
export { HandlerTimeoutError, PermanentError, ProcessEndedError } from './processing/retry.ts'
export type { RetryOptions } from './processing/retry.ts'
export { defineCircuitBreaker } from './processing/circuit-breaker.ts'
export type { BreakerState, CircuitBreaker, CircuitBreakerOptions } from './processing/circuit-breaker.ts'
export { DeadLetters } from './processing/dead-letters.ts'
export type {
  ActionOptions,
  DeadLetterFilter,
  DeadLetterGroup,
  RedriveOptions,
  RedriveProgress,
  RedriveResult,
} from './processing/dead-letters.ts'
export type { DeadLetter, DeadLetterState, Edit, FailedAttempt, Failure, Origin, StoredMessage } from './processing/dead-letter.ts'
export type { OperatorAction } from './processing/operator-action.ts'
export type { TopicLag } from './processing/topic-processor.ts'
export { CheckpointBeyondLogError, ResetRefusedError, UnknownDeadLetterError, WaitTimeoutError } from './processing/errors.ts'
export type { ProcessorState, ProcessorStatus } from './processing/processor.ts'
export type { ResetPlace } from './processing/reset.ts'
export type { StartPosition } from './processing/start-position.ts'

export { defineTopic } from './transport/topic.ts'
export { hmacSignature } from './transport/signature.ts'
export type { HmacOptions, Signature, SignedContent } from './transport/signature.ts'
export type { ForeignMessage, ReadForeign, SequenceOptions, SequenceRules, Topic, TopicOptions, WireMode } from './transport/topic.ts'
export type {
  ConnectOptions,
  GroupPlace,
  OutgoingMessage,
  Partition,
  PartitionLag,
  Priority,
  PublishOutcome,
  ReceivedMessage,
  StartAt,
  Subscription,
  SubscriptionOptions,
  TopicSpec,
  Transport,
  TransportCapabilities,
  TransportConnection,
  WireMessage,
} from './transport/port.ts'
export {
  MessageTooLargeError,
  OffsetOutOfRangeError,
  TopicMismatchError,
  TransportClosedError,
  TransportUnavailableError,
  UnknownTopicError,
  UnreadableMessageError,
  UnauthenticatedMessageError,
  UnsupportedBrokerError,
  UnsupportedByTransportError,
} from './transport/errors.ts'

export { defineAggregate } from './aggregate/aggregate.ts'
export type {
  Aggregate,
  AggregateStart,
  AggregateWithEvents,
  AggregateWithState,
  AnyAggregate,
  Decide,
  Decision,
  Evolve,
  SnapshotPolicy,
  StateOf,
} from './aggregate/aggregate.ts'
export { defineCommandHandler } from './aggregate/command-handler.ts'
export type { CommandHandler, CommandHandlerContext } from './aggregate/command-handler.ts'
export { TooManyConflictsError } from './aggregate/handle-command.ts'
export type { CommandOptions } from './aggregate/handle-command.ts'

export { defineProjection } from './projection/projection.ts'
export type { Fold, Projection, ProjectionBuilder, ProjectionOptions } from './projection/projection.ts'
export { InvalidQueryError } from './storage/documents.ts'
export type { Condition, DocumentPage, Documents, Find, Where } from './storage/documents.ts'
export { defineQuery } from './projection/query.ts'
export type { QueryDefinition } from './projection/query.ts'
export { defineSqlProjection } from './projection/sql-projection.ts'
export type { Sql, SqlProjection } from './projection/sql-projection.ts'
export { ProjectionBuildingError, UnknownProjectionError, VerificationRunningError } from './projection/errors.ts'
export type { RebuildOptions, RebuildProgress } from './projection/rebuild.ts'
export type { Difference, Verification, VerifyOptions } from './projection/verify.ts'

export { defineService } from './service/service.ts'
export type { Service } from './service/service.ts'
export { start } from './service/start.ts'
export type { StartOptions } from './service/start.ts'
export type { Alert, AlertThresholds } from './service/alerts.ts'
export type { AggregateId, App, AppStatus, QueryOptions } from './service/app.ts'
export type { EventReference } from './service/event-position.ts'
export type { ResetOptions, ResetResult } from './service/reset.ts'
export { RemoteCommandError, RequestTimeoutError } from './service/remote-commands.ts'
export type { RemotelyAccepted, RemoteResult } from './service/remote-commands.ts'
export type { DispatchOptions, RequestOptions } from './service/requests.ts'
export { UnknownCommandError } from './service/command-bus.ts'
export { serverSentEvents } from './service/server-sent-events.ts'
