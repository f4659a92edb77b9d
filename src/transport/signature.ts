import { createHmac, timingSafeEqual } from 'node:crypto'
import { InvalidDefinitionError } from '../message/errors.ts'
import { UnauthenticatedMessageError } from './errors.ts'
import type { WireMessage } from './port.ts'

/** By what the messages of a topic prove who wrote them, on a broker to which more people can write than should. */
export interface Signature {
  /** What is added to the headers of a message as it is published. */
  sign(topic: string, message: SignedContent): Readonly<Record<string, string>>
  /** Looks at a message before anything of it is believed. @throws UnauthenticatedMessageError */
  verify(topic: string, message: SignedContent): void
}

/** What a signature must cover. Brokers add headers of their own. */
export type SignedContent = Pick<WireMessage, 'attributes' | 'headers' | 'body'>

export interface HmacOptions {
  /** Secrets by names that may be seen, of at least 32 characters: whoever has one of them may publish. Several while one takes the place of another. */
  readonly secrets: Readonly<Record<string, string>>
  /** The name of the secret to sign with. Default: the first one. */
  readonly signWith?: string
}

const header = 'x-headwater-signature'
const leastSecretLength = 32

/**
 * Signs the messages of a topic with a secret that its services share: HMAC with SHA-256 over the topic, the content type, the attributes of the CloudEvent and the
 * body. A message without a signature, or with one that does not fit, becomes a dead letter, and nothing in it is believed: not even its id.
 *
 * The header `x-headwater-signature` is `<name of the secret>.<base64url>`, of the bytes of `[topic, content type, [[name, value], …]]` as JSON (attributes in the order of
 * the code units of their names), a line feed, and the body: so a producer in any language can make it.
 * @throws InvalidDefinitionError
 */
export function hmacSignature({ secrets, signWith = Object.keys(secrets)[0] }: HmacOptions): Signature {
  for (const [name, secret] of Object.entries(secrets)) {
    if (!/^[\w-]{1,50}$/.test(name))
      throw new InvalidDefinitionError(`the secret '${name}' of a signature: a name is up to 50 letters, digits, '_' and '-'`)
    if (secret.length < leastSecretLength)
      throw new InvalidDefinitionError(`the secret ${name} of a signature has fewer than ${leastSecretLength} characters`)
  }
  const ownSecret = signWith === undefined ? undefined : secrets[signWith]
  if (signWith === undefined || ownSecret === undefined)
    throw new InvalidDefinitionError(`a signature has no secret ${signWith === undefined ? 'at all' : `named ${signWith}`}`)
  return {
    sign: (topic, message) => ({ [header]: `${signWith}.${codeOf(ownSecret, topic, message).toString('base64url')}` }),
    verify: (topic, message) => {
      const [name = '', code = ''] = (message.headers[header] ?? '').split('.')
      if (code === '') throw new UnauthenticatedMessageError(`it has no signature in the header ${header}`)
      const secret = Object.hasOwn(secrets, name) ? secrets[name] : undefined
      if (secret === undefined)
        throw new UnauthenticatedMessageError(`it is signed with a secret that is not known here: ${name.slice(0, 50)}`)
      const expected = codeOf(secret, topic, message)
      const given = Buffer.from(code, 'base64url')
      if (given.length !== expected.length || !timingSafeEqual(given, expected))
        throw new UnauthenticatedMessageError(`its signature with the secret ${name} does not fit`)
    },
  }
}

function codeOf(secret: string, topic: string, { attributes, headers, body }: SignedContent): Buffer {
  const sorted = Object.entries(attributes).toSorted(([a], [b]) => (a < b ? -1 : 1))
  const head = JSON.stringify([topic, headers['content-type'] ?? '', sorted])
  return createHmac('sha256', secret).update(`${head}\n`).update(body).digest()
}
