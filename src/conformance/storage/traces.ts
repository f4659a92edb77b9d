import type { StorageDriver } from '../../storage/port.ts'
import type { WriteSet } from '../../storage/write-set.ts'
import { wholeLog } from './recorded.ts'
import { append, event } from './write-sets.ts'

export const collection = 'summary@1.1'

export async function makeCollection(driver: StorageDriver, id: string = collection): Promise<void> {
  await driver.documents.create({ id, projection: 'summary', version: 1, indexed: ['state'], searchable: true })
  await driver.documents.index(id)
}

/** A set that changes everything that a set can change. */
export function everything(stream: string, processor: string, epoch: number): WriteSet {
  return {
    appends: [append(stream, 'no-stream', [event({ tags: [`of:${stream}`] })]), append(`${stream}-audit`)],
    checkpoint: { processor, epoch, position: 7, state: 'new' },
    inbox: { consumer: 'c', messages: [{ source: 's', id: stream }] },
    documents: [{ collection, key: stream, document: '{"state":"new"}', fields: ['new'], words: 'new summary' }],
    receipt: { commandId: `command of ${stream}`, target: stream, payloadHash: 'hash', version: 1 },
    snapshots: [{ stream, aggregate: 'order', schemaVersion: 1, version: 1, state: '{"state":"new"}' }],
  }
}

/** Everything that can be seen of the store and of what `everything(stream, …)` writes, to be compared before and after. */
export async function tracesOf(driver: StorageDriver, stream: string): Promise<unknown> {
  const processors = await driver.processors.list()
  return {
    log: (await wholeLog(driver)).map(({ stream: of, version, position, id, tags }) => ({ of, version, position, id, tags: [...tags] })),
    head: (await driver.log()).head,
    tagged: (await driver.readLog({ after: 0, limit: 10, query: { items: [{ tags: [`of:${stream}`] }] } })).map(({ id }) => id),
    streams: await driver.listStreams({ limit: 1_000 }),
    checkpoints: Object.fromEntries(processors.map(({ processor, position }) => [processor, position])),
    document: (await driver.documents.get(collection, [stream])).get(stream),
    documents: await driver.documents.count(collection),
    inState: await driver.documents.find(collection, { where: [{ field: 0, in: ['new'] }], sort: [], limit: 10 }),
    withWords: await driver.documents.find(collection, { where: [], words: ['summary'], sort: [], limit: 10 }),
    inbox: await driver.inbox.find('c', [{ source: 's', id: stream }]),
    receipt: await driver.findReceipt(`command of ${stream}`),
    snapshot: (await driver.loadStream({ stream, snapshot: { aggregate: 'order', schemaVersion: 1 }, limit: 10 })).snapshot,
  }
}
