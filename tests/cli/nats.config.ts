import { nats } from 'headwater/nats'

/** What the tests of the command line give to `--app`: a broker, and no service. */
export const transport = nats({ servers: process.env['NATS_URL'] ?? 'nats://127.0.0.1:1' })
