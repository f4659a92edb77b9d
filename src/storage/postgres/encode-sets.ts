import type { DocumentWrite, WriteSet } from '../write-set.ts'
import { encodeExpectation } from './expectation.ts'
import { joinJson, numberArray, textArray } from './literal.ts'
import type { Value } from './pool.ts'

/** The sets as the arguments of `commit_sets`, and whether they need the order lock: whatever reads or writes the log does, receipts included. */
export function encodeSets(sets: readonly WriteSet[]): { readonly values: readonly Value[]; readonly takesOrder: boolean } {
  const takesOrder = sets.some(({ appends, conditions, receipt }) => appends.length > 0 || receipt || conditions?.length)
  return { takesOrder, values: [String(sets.length), String(takesOrder), ...encodeEvents(sets), ...encodeRest(sets)] }
}

function encodeEvents(sets: readonly WriteSet[]): readonly Value[] {
  const appends = { sets: [] as number[], streams: [] as string[], expected: [] as number[] }
  const places = { appends: [] as number[], numbers: [] as number[], offsets: [] as number[] }
  const streams: string[] = []
  const types: string[] = []
  const schemaVersions: number[] = []
  const ids: string[] = []
  const sources: string[] = []
  const timesMs: number[] = []
  const correlationIds: string[] = []
  const causationIds: string[] = []
  const data: string[] = []
  const metadata: Value[] = []
  const tags: Value[] = []
  let tagged = false
  const lengths = new Map<string, number>()
  for (const [index, set] of sets.entries()) {
    for (const { stream, expectedVersion, events } of set.appends) {
      appends.sets.push(index + 1)
      appends.streams.push(stream)
      appends.expected.push(encodeExpectation(expectedVersion))
      let offset = lengths.get(stream) ?? 0
      for (const event of events) {
        places.appends.push(appends.sets.length)
        places.numbers.push(places.numbers.length + 1)
        places.offsets.push(++offset)
        streams.push(stream)
        types.push(event.type)
        schemaVersions.push(event.schemaVersion)
        ids.push(event.id)
        sources.push(event.source)
        timesMs.push(event.timeMs)
        correlationIds.push(event.correlationId)
        causationIds.push(event.causationId)
        data.push(event.data)
        metadata.push(event.metadata)
        tags.push(event.tags.length > 0 ? JSON.stringify(event.tags) : null)
        tagged ||= event.tags.length > 0
      }
      lengths.set(stream, offset)
    }
  }
  return [
    numberArray(appends.sets),
    textArray(appends.streams),
    numberArray(appends.expected),
    numberArray(places.appends),
    numberArray(places.numbers),
    numberArray(places.offsets),
    textArray(streams),
    textArray(types),
    numberArray(schemaVersions),
    textArray(ids),
    textArray(sources),
    numberArray(timesMs),
    textArray(correlationIds),
    textArray(causationIds),
    joinJson(data),
    joinJson(metadata),
    tagged ? textArray(tags) : null,
  ]
}

/** What few sets have. Null where none does, which spares the function from looking for it. */
function encodeRest(sets: readonly WriteSet[]): readonly Value[] {
  const checkpoints: object[] = []
  const receipts: object[] = []
  const conditions: object[] = []
  const snapshots: object[] = []
  const states: string[] = []
  for (const [index, set] of sets.entries()) {
    const number = { set: index + 1 }
    if (set.checkpoint) checkpoints.push({ ...number, ...set.checkpoint })
    if (set.receipt) {
      const { commandId, target, payloadHash, version } = set.receipt
      receipts.push({ ...number, command_id: commandId, target, payload_hash: payloadHash, version })
    }
    for (const { query, after } of set.conditions ?? []) conditions.push({ ...number, items: query.items, after })
    for (const { stream, aggregate, schemaVersion, version, state } of set.snapshots ?? []) {
      snapshots.push({ ...number, stream, aggregate, schema_version: schemaVersion, version })
      states.push(state)
    }
  }
  const { groups, values } = encodeDocuments(sets)
  return [
    jsonUnlessEmpty(checkpoints),
    jsonUnlessEmpty(receipts),
    jsonUnlessEmpty(conditions),
    jsonUnlessEmpty(snapshots),
    states.length > 0 ? textArray(states) : null,
    jsonUnlessEmpty(groups),
    values.length > 0 ? textArray(values) : null,
    ...encodeInbox(sets),
  ]
}

function encodeInbox(sets: readonly WriteSet[]): readonly Value[] {
  const numbers: number[] = []
  const consumers: string[] = []
  const ids: string[] = []
  const sources: string[] = []
  for (const [index, { inbox }] of sets.entries()) {
    if (!inbox) continue
    for (const { id, source } of inbox.messages) {
      numbers.push(index + 1)
      consumers.push(inbox.consumer)
      ids.push(id)
      sources.push(source)
    }
  }
  return numbers.length > 0 ? [numberArray(numbers), textArray(consumers), textArray(ids), textArray(sources)] : [null, null, null, null]
}

function jsonUnlessEmpty(items: readonly object[]): Value {
  return items.length > 0 ? JSON.stringify(items) : null
}

/** The documents by collection, column after column, as `write_documents` reads them. */
function encodeDocuments(sets: readonly WriteSet[]): { readonly groups: readonly object[]; readonly values: readonly Value[] } {
  const byCollection = new Map<string, { readonly sets: string[]; readonly writes: DocumentWrite[] }>()
  for (const [index, { documents }] of sets.entries()) {
    for (const write of documents ?? []) {
      let group = byCollection.get(write.collection)
      if (!group) byCollection.set(write.collection, (group = { sets: [], writes: [] }))
      group.sets.push(String(index + 1))
      group.writes.push(write)
    }
  }
  const groups: object[] = []
  const values: Value[] = []
  for (const [collection, { sets: numbers, writes }] of byCollection) {
    const fields = writes[0]!.fields.length
    groups.push({
      collection,
      start: values.length + 1,
      count: writes.length,
      removals: writes.some(({ document }) => document === null),
    })
    for (const number of numbers) values.push(number)
    for (const { key } of writes) values.push(key)
    for (const { document } of writes) values.push(document)
    for (const { words } of writes) values.push(words)
    for (let field = 0; field < fields; field++) for (const write of writes) values.push(write.fields[field] ?? null)
  }
  return { groups, values }
}
