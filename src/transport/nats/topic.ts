import type { StreamConfig } from '@nats-io/jetstream'
import { TopicMismatchError, UnsupportedBrokerError, UnsupportedByTransportError } from '../errors.ts'
import type { TopicSpec } from '../port.ts'
import type { Client } from './client.ts'
import { apiErrorCode, apiErrors, translateError } from './client.ts'
import { escapeName, subjectsOf } from './names.ts'
import type { Settings } from './options.ts'

type Value = string | number
/** The fields of a stream's configuration that a topic may set, as the server names and counts them. */
type Wanted = Readonly<Record<string, Value>>

const numeric = new Set(['max_bytes', 'max_msgs', 'max_msgs_per_subject', 'max_msg_size', 'num_replicas'])
const worded: Readonly<Record<string, readonly string[]>> = {
  discard: ['old', 'new'],
  storage: ['file', 'memory'],
  compression: ['none', 's2'],
}
/** What an older server would ignore without a word. */
const since: Readonly<Record<string, number>> = { compression: 10 }

/**
 * Makes the stream of the topic where it is missing, else compares it.
 * @throws TopicMismatchError, UnsupportedBrokerError, UnsupportedByTransportError
 */
export async function ensureTopic(client: Client, settings: Settings, spec: TopicSpec): Promise<void> {
  const name = escapeName(spec.name)
  const wanted = wantedOf(client, settings, spec)
  const { streams } = client.manager
  const existing = async (): Promise<StreamConfig | undefined> => {
    try {
      return (await streams.info(name)).config
    } catch (error) {
      if (apiErrorCode(error) === apiErrors.streamNotFound) return undefined
      throw translateError(error, spec.name)
    }
  }
  const found = await existing()
  if (found) return check(spec.name, name, found, wanted)
  const maxAge = Number(wanted['max_age'] ?? 0)
  const window = settings.duplicateWindowMs * 1e6
  const config = {
    name,
    subjects: [subjectsOf(name)],
    retention: 'limits',
    storage: 'file',
    num_replicas: 1,
    // The server refuses a window that is longer than messages are kept.
    duplicate_window: maxAge > 0 ? Math.min(window, maxAge) : window,
    ...wanted,
  } as Partial<StreamConfig> & Pick<StreamConfig, 'name'>
  try {
    await streams.add(config)
  } catch (error) {
    // Somebody else may have made it meanwhile.
    const made = await existing()
    if (!made) throw translateError(error, spec.name)
    check(spec.name, name, made, wanted)
  }
}

function wantedOf(client: Client, { replicas, storage }: Settings, spec: TopicSpec): Wanted {
  const wanted: Record<string, Value> = {}
  if (replicas !== undefined) wanted['num_replicas'] = replicas
  if (storage !== undefined) wanted['storage'] = storage
  if (spec.retentionMs !== undefined) wanted['max_age'] = spec.retentionMs * 1e6
  for (const [setting, text] of Object.entries(spec.settings ?? {})) {
    const needed = since[setting]
    if (needed !== undefined && client.version[0] === 2 && client.version[1] < needed)
      throw new UnsupportedBrokerError(`${setting} of the topic ${spec.name} needs NATS 2.${needed}; this is 2.${client.version[1]}`)
    if (numeric.has(setting) && /^-?\d+$/.test(text)) wanted[setting] = Number(text)
    else if (worded[setting]?.includes(text)) wanted[setting] = text
    else throw new UnsupportedByTransportError(`NATS topics have no setting ${setting} = ${text}`)
  }
  return wanted
}

function check(topic: string, name: string, config: StreamConfig, wanted: Wanted): void {
  // With another retention a message would be gone once one group has acknowledged it.
  if (config.retention !== 'limits') throw new TopicMismatchError(topic, 'retention', 'limits', config.retention)
  if (!config.subjects?.includes(subjectsOf(name))) throw new TopicMismatchError(topic, 'subjects', subjectsOf(name), config.subjects)
  const actual = config as unknown as Wanted
  for (const [setting, value] of Object.entries(wanted))
    if ((actual[setting] ?? (setting === 'compression' ? 'none' : undefined)) !== value)
      throw new TopicMismatchError(topic, setting, value, actual[setting])
}
