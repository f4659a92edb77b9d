import type { BreakerState, ProcessorStatus } from 'headwater'
import type { Delivery } from '../suppliers/deliver.ts'
import type { ServiceName } from './services.ts'
import type { Broker } from './transports.ts'

/** How many customers come: so many and no more, or so many a second until the doors close. */
export type Load = { readonly orders: number } | { readonly rate: number; readonly port: number | undefined }

/** What a process must know to be its service. */
export interface Assignment {
  readonly service: ServiceName
  /** The name of its store, as the command line has it. */
  readonly storage: string
  readonly broker: Broker
  /** Before the names of topics. */
  readonly shop: string
  readonly bankPath: string
}

/** What the supervisor says to a process. */
export type Word =
  | { readonly say: 'begin'; readonly assignment: Assignment }
  /** To orders: customers may come. */
  | { readonly say: 'open'; readonly load: Load }
  /** To orders: nobody else comes in. */
  | { readonly say: 'close' }
  /** To inventory: a lorry is at the door. */
  | { readonly say: 'deliver'; readonly lines: Delivery }
  | { readonly say: 'stop' }

/** What a process says to the supervisor. */
export type Answer =
  | { readonly say: 'ready' }
  | { readonly say: 'report'; readonly report: Report }
  /** Orders needs goods in the warehouse. */
  | { readonly say: 'order-goods'; readonly lines: Delivery }
  /** It cannot go on, and being started again would not help. */
  | { readonly say: 'failed'; readonly sentence: string }

/** How a process is, twice a second. */
export interface Report {
  /** The last position of its log. */
  readonly head: number
  readonly processors: readonly ProcessorStatus[]
  readonly breakers: readonly { readonly name: string; readonly state: BreakerState }[]
  /** Messages that wait for an operator. */
  readonly deadLetters: number
  /** Of its log, the latest. */
  readonly warning?: string
  /** Of orders. */
  readonly front?: FrontReport
}

export interface FrontReport {
  readonly url: string | undefined
  /** How long it took to place the orders since the last report. */
  readonly placingMs: readonly number[]
  /** `'gone'`: all who were let in have been served. */
  readonly customers: 'not yet' | 'inside' | 'gone'
}
