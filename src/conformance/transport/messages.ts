import assert from 'node:assert/strict'
import { randomUUID } from 'node:crypto'
import type { OutgoingMessage, ReceivedMessage, TransportConnection } from '../../transport/port.ts'

/** A message whose body is a text. */
export function message(text: string, given: Partial<OutgoingMessage> = {}): OutgoingMessage {
  return { id: randomUUID(), key: undefined, attributes: {}, headers: {}, body: Buffer.from(text), ...given }
}

/** Messages of several keys, one key after the other in turn; the text of each is its key and its number in it: `k0 0`, `k1 0`, `k0 1` … */
export function keyed(keys: number, count: number, firstNumber = 0): readonly OutgoingMessage[] {
  return Array.from({ length: keys * count }, (_, index) => {
    const key = `k${index % keys}`
    return message(`${key} ${firstNumber + Math.floor(index / keys)}`, { key })
  })
}

export function textOf({ body }: { readonly body: Uint8Array }): string {
  return Buffer.from(body).toString()
}

export function textsOf(messages: readonly { readonly body: Uint8Array }[]): readonly string[] {
  return messages.map(textOf)
}

/** Publishes messages of which each must be confirmed. */
export async function publishAll(connection: TransportConnection, topic: string, messages: readonly OutgoingMessage[]): Promise<void> {
  const outcomes = await connection.publish(topic, messages)
  assert.equal(outcomes.length, messages.length, 'one outcome a message')
  for (const outcome of outcomes) if (!outcome.ok) throw outcome.error
}

/** The texts of each key, in the order in which they came. */
export function textsByKey(messages: readonly Pick<ReceivedMessage, 'key' | 'body'>[]): Readonly<Record<string, readonly string[]>> {
  const byKey: Record<string, string[]> = {}
  for (const one of messages) (byKey[String(one.key)] ??= []).push(textOf(one))
  return byKey
}

/** Exactly these came, each once, in whatever order. */
export function assertSame(received: readonly { readonly body: Uint8Array }[], sent: readonly { readonly body: Uint8Array }[]): void {
  assert.deepEqual(textsOf(received).toSorted(), textsOf(sent).toSorted())
}
