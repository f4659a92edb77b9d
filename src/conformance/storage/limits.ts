import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { defaultLimits } from '../../storage/encode.ts'
import type { BehaviourGroup } from './behaviour.ts'
import { assertDense, assertRecorded, recorded, wholeLog } from './recorded.ts'
import { append, appending, commit, committed, event, events, mustCommit } from './write-sets.ts'

/** Names as long as the core lets through, which no compression makes shorter: indexes must hold them. */
function longName(of: string): string {
  let name = of
  while (name.length < defaultLimits.maxNameBytes) name += createHash('sha256').update(name).digest('base64')
  return name.slice(0, defaultLimits.maxNameBytes)
}

export const limits: BehaviourGroup = {
  group: 'limits',
  behaviours: {
    async 'the longest names fit everywhere'({ driver }) {
      const [stream, otherStream, owner, key] = [longName('stream:'), longName('stream:2'), longName('owner'), longName('key')]
      const one = event({
        id: longName('id'),
        source: longName('source'),
        type: longName('type'),
        correlationId: longName('correlation'),
        causationId: longName('causation'),
        tags: Array.from({ length: defaultLimits.maxTagsPerEvent }, (_, index) => longName(`tag ${index}`)),
      })
      const [processor, collection, commandId, aggregate] = [
        longName('processor'),
        longName('collection'),
        longName('command'),
        longName('aggregate'),
      ]
      const claim = await driver.processors.claim({ processor, owner, ttlMs: 60_000, startAt: 0 })
      assert.ok(claim.claimed)
      await driver.documents.create({
        id: collection,
        projection: longName('projection'),
        version: 1,
        indexed: ['a', 'b'],
        searchable: false,
      })
      await driver.documents.index(collection)
      const fields = [longName('field a'), longName('field b')]
      await mustCommit(driver, {
        appends: [append(stream, 'no-stream', [one]), append(otherStream)],
        checkpoint: { processor, epoch: claim.epoch, position: 1 },
        documents: [{ collection, key, document: '{}', fields, words: null }],
        receipt: { commandId, target: stream, payloadHash: longName('hash'), version: 1 },
        snapshots: [{ stream, aggregate, schemaVersion: 1, version: 1, state: '{}' }],
      })
      const expected = [recorded(one, { stream, version: 1, position: 1 })]
      assertRecorded(await driver.readStream({ stream, direction: 'forwards', limit: 10 }), expected)
      assertRecorded(await driver.readLog({ after: 0, limit: 10, query: { items: [{ types: [one.type], tags: one.tags }] } }), expected)
      assertRecorded(await driver.findEvents([one]), expected)
      assert.equal((await driver.findReceipt(commandId))?.target, stream)
      assert.equal((await driver.loadStream({ stream, snapshot: { aggregate, schemaVersion: 1 }, limit: 1 })).snapshot?.version, 1)
      const found = await driver.documents.find(collection, { where: [{ field: 1, in: [fields[1]!] }], sort: [], limit: 1 })
      assert.equal(found[0]?.key, key)
      assert.deepEqual(await driver.processors.renew({ owner, ttlMs: 60_000, held: [{ processor, epoch: claim.epoch }] }), [processor])
    },

    async 'as many events as one append may have are committed together'({ driver }) {
      const all = events(defaultLimits.maxEventsPerAppend, { tags: ['a', 'b'] })
      const set = appending('order:1', 'no-stream', all)
      const verdict = await mustCommit(driver, set)
      assert.deepEqual([verdict.firstPosition, verdict.position, verdict.versions], [1, all.length, [all.length]])
      assert.equal((await driver.findEvents(all)).length, all.length)
      assert.deepEqual(await commit(driver, set), { status: 'duplicate-id' })
      assert.equal((await driver.readLog({ after: 0, limit: 20_000 })).length, all.length)
    },

    async 'a thousand sets share a call'({ driver }) {
      const sets = Array.from({ length: 1_000 }, (_, index) => appending(`order:${index % 900}`, index < 100 || index >= 900 ? 'any' : 0))
      for (const [index, verdict] of (await driver.commit(sets)).entries()) assert.equal(committed(verdict).position, index + 1)
      assertDense(await wholeLog(driver))
    },

    async 'an append to a thousand streams is one set'({ driver }) {
      const appends = Array.from({ length: 1_000 }, (_, index) => append(`order:${index}`, 'no-stream'))
      assert.equal((await mustCommit(driver, { appends })).position, 1_000)
      assert.equal((await driver.listStreams({ limit: 5_000 })).length, 1_000)
    },

    async 'a long list of names in a filter or condition is borne'({ driver }) {
      await mustCommit(driver, appending('order:7', 'any', [event({ type: 'T7', tags: ['t'] })]))
      const types = Array.from({ length: 2_000 }, (_, index) => `T${index}`)
      const streams = types.map((_, index) => `order:${index}`)
      const items = Array.from({ length: 100 }, (_, index) => ({ types: [`T${index}`], streams: [`order:${index}`], tags: ['t'] }))
      for (const filter of [{ types }, { query: { items: [{ types, streams }] } }, { query: { items } }])
        assert.equal((await driver.readLog({ after: 0, limit: 10, ...filter })).length, 1)
      assert.deepEqual(await commit(driver, { ...appending('order:8'), conditions: [{ query: { items }, after: 0 }] }), {
        status: 'condition-failed',
        position: 1,
      })
    },
  },
}
