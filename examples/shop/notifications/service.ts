import { orderTopic } from '../orders/events.ts'
import { notify } from './notify.ts'

export const notifications = { handlers: [notify], subscribes: [orderTopic] }
