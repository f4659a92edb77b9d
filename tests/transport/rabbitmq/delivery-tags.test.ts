import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { DeliveryTags } from '../../../src/transport/rabbitmq/delivery-tags.ts'

/** What a channel of the broker does: it closes over a tag that it does not hold unacknowledged. */
class Channel {
  readonly unacknowledged = new Set<number>()

  settle(tag: number, multiple: boolean): void {
    if (!this.unacknowledged.has(tag)) throw new Error(`unknown delivery tag ${tag}`)
    for (const held of this.unacknowledged) if (multiple ? held <= tag : held === tag) this.unacknowledged.delete(held)
  }
}

describe('the tags of a channel', () => {
  test('whatever is finished or given back in whatever order, the broker learns exactly that', () => {
    const batch = fc.record({ isReleased: fc.boolean(), picks: fc.array(fc.nat(60), { maxLength: 12 }) })
    fc.assert(
      fc.property(fc.array(batch, { maxLength: 30 }), (batches) => {
        const tags = new DeliveryTags()
        const channel = new Channel()
        const expected = new Set<number>()
        for (let tag = 1; tag <= 61; tag++) {
          channel.unacknowledged.add(tag)
          expected.add(tag)
        }
        for (const { isReleased, picks } of batches) {
          const settled = picks.map((pick) => pick + 1).filter((tag) => tags.settle(tag))
          const ascending = settled.toSorted((a, b) => a - b)
          expect(settled.every((tag) => expected.delete(tag))).toBe(true)
          if (isReleased) for (const tag of ascending) channel.settle(tag, false)
          else {
            const { upTo, single } = tags.acknowledge(ascending)
            if (upTo !== undefined) channel.settle(upTo, true)
            for (const tag of single) channel.settle(tag, false)
          }
          expect([...channel.unacknowledged]).toEqual([...expected])
        }
      }),
    )
  })

  test('one acknowledgement stands for all that are finished in order', () => {
    const tags = new DeliveryTags()
    const settle = (...given: number[]): number[] => given.filter((tag) => tags.settle(tag))
    expect(tags.acknowledge(settle(1, 2, 3))).toEqual({ upTo: 3, single: [] })
    expect(tags.acknowledge(settle(5, 7))).toEqual({ upTo: undefined, single: [5, 7] })
    expect(tags.acknowledge(settle(4, 6, 9))).toEqual({ upTo: 6, single: [9] })
    expect(settle(3, 9)).toEqual([])
  })
})
