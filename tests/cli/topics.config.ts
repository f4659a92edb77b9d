import { defineEvent, defineHandler, defineService, defineTopic, jsonSchema } from 'headwater'
import { log } from 'headwater/log'
import { sqlite } from 'headwater/sqlite'

const Sent = defineEvent('Sent', jsonSchema<{ n: number }>({ type: 'object', required: ['n'] }))
const letters = defineTopic('letters', { events: [Sent] })
const reader = defineHandler('reader', { on: Sent }, () => {})

/** What the tests of the command line give to `--app`: a service that gets its own events back by a broker. */
export const service = defineService('post', { handlers: [reader], publishes: [letters], subscribes: [letters] })
const broker = process.env['POST_BROKER']
export const transport = broker === undefined ? undefined : log(sqlite(broker))
