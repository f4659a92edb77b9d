import { describe, expect, test } from 'vitest'
import type { TransportBehaviour } from '../../src/conformance/index.ts'
import { transportConformance } from '../../src/conformance/index.ts'
import { harnessOf } from './broken.ts'
import type { Mutant } from './broken.ts'
import { MemoryBroker } from './memory-transport.ts'
import { mutantsOfAcknowledging, mutantsOfDelivery, mutantsOfLateness, mutantsOfMembers } from './mutants-of-consuming.ts'
import { mutantsOfContent } from './mutants-of-content.ts'
import { mutantsOfDelays } from './mutants-of-delays.ts'
import { mutantsOfInterruptions } from './mutants-of-interruptions.ts'
import { mutantsOfPlaces } from './mutants-of-places.ts'
import { mutantsOfConnecting, mutantsOfOrder, mutantsOfPublishing, mutantsOfTopics } from './mutants-of-publishing.ts'

const mutants: readonly Mutant[] = [
  ...mutantsOfConnecting,
  ...mutantsOfTopics,
  ...mutantsOfPublishing,
  ...mutantsOfContent,
  ...mutantsOfOrder,
  ...mutantsOfDelivery,
  ...mutantsOfLateness,
  ...mutantsOfAcknowledging,
  ...mutantsOfMembers,
  ...mutantsOfPlaces,
  ...mutantsOfDelays,
  ...mutantsOfInterruptions,
]

const titleOf = ({ group, name }: TransportBehaviour): string => `${group}: ${name}`

interface Trial {
  readonly mutant: Mutant
  readonly behaviour: string
  /** Why it failed; undefined when it passed or was skipped, which is wrong. */
  readonly failure: Promise<string | undefined>
}

// All at the same time: most of them wait for what never comes.
const trials: readonly Trial[] = mutants.flatMap((mutant) =>
  mutant.caughtBy.map((start): Trial => {
    const find = (): TransportBehaviour => {
      const found = transportConformance(harnessOf(mutant)).filter((one) => titleOf(one).startsWith(start))
      if (found.length !== 1) throw new Error(`${found.length} behaviours begin with: ${start}`)
      return found[0]!
    }
    return { mutant, behaviour: titleOf(find()), failure: failureOf(find) }
  }),
)

/** What comes too soon is not noticed where the machine happens to be so slow that it seems to come in time: then once more, a few times. */
async function failureOf(find: () => TransportBehaviour): Promise<string | undefined> {
  for (let attempt = 1; attempt <= 5; attempt++) {
    try {
      await find().run()
    } catch (error) {
      return error instanceof Error ? `${error.name}: ${error.message}` : String(error)
    }
  }
  return undefined
}

describe('each defect is noticed', () => {
  for (const { mutant, behaviour, failure } of trials)
    test(`${mutant.defect}: by “${behaviour}”`, { timeout: 300_000 }, async () => {
      expect(await failure).toBeDefined()
    })
})

test('each behaviour notices some defect', () => {
  const noticing = new Set(trials.map(({ behaviour }) => behaviour))
  const all = transportConformance({ transport: new MemoryBroker() }).map(titleOf)
  expect(all.filter((behaviour) => !noticing.has(behaviour))).toEqual([])
})
