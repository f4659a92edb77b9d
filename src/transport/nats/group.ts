import type { ConsumerConfig, ConsumerInfo } from '@nats-io/jetstream'
import { TopicMismatchError } from '../errors.ts'
import type { GroupPlace, PartitionLag, StartAt } from '../port.ts'
import type { Client } from './client.ts'
import { apiErrorCode, apiErrors, translateError } from './client.ts'
import { escapeName } from './names.ts'

/**
 * Makes the durable consumer of a group where it is missing; one that is there goes on where it is. It gives up on no message: when to stop trying is decided by
 * who consumes. How many are held is limited by each process for itself, since a limit of the consumer would be shared by all processes of the group.
 * @throws UnknownTopicError, TopicMismatchError
 */
export async function ensureGroup(
  client: Client,
  topic: string,
  group: string,
  startAt: StartAt,
  ackWaitMs: number,
): Promise<ConsumerInfo> {
  const found = await findGroup(client, topic, group)
  return checked(topic, group, found ?? (await makeGroup(client, topic, group, ackWaitMs, deliveryOf(startAt))))
}

/** A consumer of somebody else's must not skip messages, give them up by itself, stop to give them out, or push them. */
function checked(topic: string, group: string, info: ConsumerInfo): ConsumerInfo {
  const { ack_policy, max_deliver = -1, max_ack_pending = -1, deliver_subject, filter_subject = '', filter_subjects = [] } = info.config
  const differs = (setting: string, wanted: unknown, actual: unknown): never => {
    throw new TopicMismatchError(topic, `${setting} of the group ${group}`, wanted, actual)
  }
  if (ack_policy !== 'explicit') differs('ack_policy', 'explicit', ack_policy)
  if (max_deliver > 0) differs('max_deliver', -1, max_deliver)
  if (deliver_subject) differs('deliver_subject', 'none', deliver_subject)
  if (filter_subject !== '' || filter_subjects.length > 0) differs('filter_subject', 'none', filter_subject || filter_subjects)
  // What is not due yet is given out, as the server sees it: with a limit many of them would keep from coming what is.
  if (max_ack_pending > 0) differs('max_ack_pending', -1, max_ack_pending)
  return info
}

/** Makes a group anew that was removed while it was consumed from: from the message after this one on. */
export async function restoreGroup(client: Client, topic: string, group: string, after: number, ackWaitMs: number): Promise<ConsumerInfo> {
  const found = await findGroup(client, topic, group)
  return found ?? makeGroup(client, topic, group, ackWaitMs, { deliver_policy: 'by_start_sequence', opt_start_seq: after + 1 })
}

/**
 * Makes the durable consumer of a group anew, to begin elsewhere: the server lets nobody change where one begins. Should this break off in between, the group is not
 * there, and is made by whoever comes next: doing it again puts it right.
 * @throws UnknownTopicError
 */
export async function resetGroup(
  client: Client,
  topic: string,
  group: string,
  startAt: StartAt,
  ackWaitMs: number,
): Promise<readonly GroupPlace[]> {
  if (await findGroup(client, topic, group))
    await client.manager.consumers.delete(escapeName(topic), escapeName(group)).catch((error: unknown) => {
      // Somebody else was quicker.
      if (apiErrorCode(error) !== apiErrors.consumerNotFound) throw translateError(error, topic)
    })
  const { num_pending: messages } = await makeGroup(client, topic, group, ackWaitMs, deliveryOf(startAt))
  return [{ partition: undefined, after: undefined, messages }]
}

/** Undefined when the topic has no such group. */
export async function findGroup(client: Client, topic: string, group: string): Promise<ConsumerInfo | undefined> {
  try {
    return await client.manager.consumers.info(escapeName(topic), escapeName(group))
  } catch (error) {
    if (apiErrorCode(error) === apiErrors.consumerNotFound) return undefined
    throw translateError(error, topic)
  }
}

/** Of a group that is not there all messages of the topic are to be done. */
export async function lagOf(client: Client, topic: string, group: string): Promise<readonly PartitionLag[]> {
  const info = await findGroup(client, topic, group)
  if (info) return [{ partition: undefined, messages: info.num_pending + info.num_ack_pending }]
  try {
    const { state } = await client.manager.streams.info(escapeName(topic))
    return [{ partition: undefined, messages: state.messages }]
  } catch (error) {
    throw translateError(error, topic)
  }
}

type Delivery = { readonly deliver_policy: string; readonly opt_start_time?: string; readonly opt_start_seq?: number }

async function makeGroup(client: Client, topic: string, group: string, ackWaitMs: number, delivery: Delivery): Promise<ConsumerInfo> {
  const config = {
    durable_name: escapeName(group),
    ack_policy: 'explicit',
    ack_wait: ackWaitMs * 1e6,
    max_deliver: -1,
    max_ack_pending: -1,
    ...delivery,
  } as Partial<ConsumerConfig>
  try {
    return await client.manager.consumers.add(escapeName(topic), config)
  } catch (error) {
    // Somebody else may have made it meanwhile, to start elsewhere.
    const made = await findGroup(client, topic, group)
    if (made) return made
    throw translateError(error, topic)
  }
}

function deliveryOf(startAt: StartAt): Delivery {
  switch (startAt.at) {
    case 'beginning':
      return { deliver_policy: 'all' }
    case 'end':
      return { deliver_policy: 'new' }
    case 'time':
      return { deliver_policy: 'by_start_time', opt_start_time: new Date(startAt.timeMs).toISOString() }
  }
}
