import { Ajv } from 'ajv'
import { Ajv2020 } from 'ajv/dist/2020.js'
import type { AnySchemaObject, ErrorObject, Options, ValidateFunction } from 'ajv'
import { InvalidDefinitionError } from '../message/errors.ts'
import type { Schema } from '../message/schema.ts'

/**
 * A schema from plain JSON Schema or TypeBox, with the type that it stands for: `jsonSchema<{ id: string }>({ type: 'object', … })`. It is read
 * as 2020-12, or as draft-07 where its `$schema` says so. Nothing is coerced and no default is filled in; `format` is a remark, as those
 * standards have it, and not checked.
 * @throws InvalidDefinitionError when it is not valid JSON Schema
 */
export function jsonSchema<T>(schema: object): Schema<T> {
  const check = compile(schema)
  return {
    '~standard': {
      version: 1,
      vendor: 'json-schema',
      validate: (value) => (check(value) ? { value: value as T } : { issues: (check.errors ?? []).map(issueOf) }),
    },
  }
}

const options: Options = {
  allErrors: true,
  // TypeBox marks its schemas with keywords of its own, which strict mode would refuse.
  strict: false,
  validateFormats: false,
}
// What checks the schemas themselves takes tens of milliseconds to make, so that it is made once, when it is needed.
let checker2020: Ajv2020 | undefined
let checker07: Ajv | undefined

function compile(schema: AnySchemaObject): ValidateFunction {
  // Each schema gets a validator of its own, since two of them may use one `$id` for different things.
  const unchecked: Options = { ...options, validateSchema: false, meta: false }
  try {
    if (isDraft07(schema)) {
      void (checker07 ??= new Ajv(options)).validateSchema(schema, true)
      return new Ajv(unchecked).compile(schema)
    }
    void (checker2020 ??= new Ajv2020(options)).validateSchema(schema, true)
    return new Ajv2020(unchecked).compile(schema)
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error)
    throw new InvalidDefinitionError(`not a JSON Schema (2020-12 or draft-07): ${reason}`, { cause: error })
  }
}

function isDraft07({ $schema }: AnySchemaObject): boolean {
  return /^https?:\/\/json-schema\.org\/draft-07\/schema#?$/.test($schema ?? '')
}

function issueOf({ instancePath, params, message = 'is not valid' }: ErrorObject): {
  readonly message: string
  readonly path: readonly string[]
} {
  const path = instancePath.split('/').slice(1)
  return { message: message + detailOf(params), path: path.map((part) => part.replaceAll('~1', '/').replaceAll('~0', '~')) }
}

/** Which field is one too many, and which values would do: the validator's messages leave it out. */
function detailOf(params: Readonly<Record<string, unknown>>): string {
  const extra = params['additionalProperty'] ?? params['unevaluatedProperty']
  if (typeof extra === 'string') return `: '${extra}'`
  const allowed = params['allowedValues'] ?? params['allowedValue']
  return allowed === undefined ? '' : `: ${JSON.stringify(allowed)}`
}
