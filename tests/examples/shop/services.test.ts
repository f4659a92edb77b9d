import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'

const shop = join(import.meta.dirname, '../../../examples/shop')
const services = ['orders', 'inventory', 'payments', 'notifications', 'analytics', 'suppliers']

/** What a service's file imports from other services, as `orders/events.ts`. */
function importsOf(service: string, file: string): readonly string[] {
  const text = readFileSync(join(shop, service, file), 'utf8')
  // The type of the running shop is no knowledge of another service.
  return [...text.matchAll(/^import (?!type \{ Shop \}).* from '\.\.\/([^']+)'/gm)].map(([, path]) => path!)
}

test.each(services)('%s knows the others by their events only', (service) => {
  const files = readdirSync(join(shop, service))
  expect(files).not.toEqual([])
  for (const file of files)
    for (const path of importsOf(service, file))
      expect(
        services.map((other) => `${other}/events.ts`),
        `${service}/${file} imports ${path}`,
      ).toContain(path)
})

test('nobody knows the late-comer', () => {
  for (const service of services.filter((name) => name !== 'analytics'))
    for (const file of readdirSync(join(shop, service))) expect(importsOf(service, file).join()).not.toContain('analytics')
})
