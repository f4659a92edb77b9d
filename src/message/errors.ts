/**
 * Every error that Headwater throws on purpose: a class of its own with a stable `code`, which programs may test and which docs/errors.md
 * explains. The message names what was wrong and where; `cause` keeps the error beneath, when there was one.
 */
export abstract class HeadwaterError extends Error {
  abstract readonly code: string

  constructor(message: string, options?: { readonly cause?: unknown }) {
    super(message, options)
    this.name = new.target.name
  }
}

/** A definition contradicts itself or another one. Thrown while the program starts, never while it runs. */
export class InvalidDefinitionError extends HeadwaterError {
  readonly code = 'invalid-definition'
}

/** A payload does not fit its schema. `issues` name each place by its path. */
export class InvalidMessageError extends HeadwaterError {
  readonly code = 'invalid-message'
  readonly issues: readonly { readonly path: string; readonly message: string }[]

  constructor(what: string, issues: readonly { readonly path: string; readonly message: string }[]) {
    super(`${what}: ${issues.map((issue) => `${issue.path || '(root)'}: ${issue.message}`).join('; ')}`)
    this.issues = issues
  }
}

/** A CloudEvent is malformed, or uses something that the store cannot keep. */
export class InvalidCloudEventError extends HeadwaterError {
  readonly code = 'invalid-cloud-event'
  /** The attribute that is wrong; `(root)` when it is the whole. */
  readonly attribute: string

  constructor(attribute: string, reason: string) {
    super(`${attribute} ${reason}`)
    this.attribute = attribute
  }
}
