import { SQSClient } from '@aws-sdk/client-sqs'
import type { SqsOptions } from '../../../src/transport/sqs/index.ts'

/** Substitutes want to be spoken to as Amazon is, but believe anything. */
export const credentials = { accessKeyId: 'test', secretAccessKey: 'test' }

/** Options for a server on this machine: nothing there has to be waited for as long as at Amazon. */
export function near(endpoint: string, options: Partial<SqsOptions> = {}): SqsOptions {
  return { endpoint, region: 'us-east-1', credentials, queueCacheMs: 50, waitTimeSec: 1, visibilityTimeoutSec: 8, ...options }
}

export function rawClient(endpoint: string): SQSClient {
  return new SQSClient({ endpoint, region: 'us-east-1', credentials })
}
