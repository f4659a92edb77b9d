import { HeadwaterError } from '../message/errors.ts'

/** The read model is being built for the first time and cannot be read yet. */
export class ProjectionBuildingError extends HeadwaterError {
  readonly code = 'projection-building'

  constructor(projection: string, position: number, head: number) {
    super(`the read model ${projection} is being built: ${position} of ${head} events are in it`)
  }
}

/** The service has no projection of this name. */
export class UnknownProjectionError extends HeadwaterError {
  readonly code = 'unknown-projection'
}

/** Somebody else is verifying the same read model. */
export class VerificationRunningError extends HeadwaterError {
  readonly code = 'verification-running'

  constructor(projection: string, owner: string) {
    super(`the read model ${projection} is being verified already, by ${owner}`)
  }
}
