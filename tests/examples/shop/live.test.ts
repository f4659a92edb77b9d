import { createServer } from 'node:http'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, onTestFinished, test } from 'vitest'
import { eventually } from '../../support/eventually.ts'
import { ShopProcess, temporaryDirectory } from './start-shop.ts'

async function openShop(): Promise<{ shop: ShopProcess; url: string }> {
  const shop = new ShopProcess(temporaryDirectory(), ['--port', '0', '--rate', '5'])
  const [url] = await shop.printed(/http:\/\/127\.0\.0\.1:\d+\//)
  return { shop, url }
}

const wish = { customer: 'Grace Hopper', items: [{ sku: 'mug', quantity: 1 }] }

describe('npm start', { timeout: 120_000 }, () => {
  test('runs until Ctrl-C, and ends with its totals', async () => {
    const { shop } = await openShop()
    await shop.printed(/placed \d+ .*shipped [1-9]/)
    shop.kill('SIGINT')
    const { code, output } = await shop.ended
    expect(output).toMatch(/Closed\. \d+ orders in this run/)
    expect(code).toBe(0)
  })

  test('takes an order over HTTP, and shows it to whoever watches until it is done', async () => {
    const { url } = await openShop()
    const response = await fetch(`${url}orders`, { method: 'POST', body: JSON.stringify(wish) })
    expect(response.status).toBe(201)
    const { orderId, customerId, position } = (await response.json()) as { orderId: string; customerId: string; position: number }
    expect(customerId).toBe('grace-hopper')

    const shown = await (await fetch(`${url}orders/${orderId}?atLeast=${position}`)).json()
    expect(shown).toMatchObject({ orderId, customerName: 'Grace Hopper', products: ['Blue mug'], total: 1_600 })
    expect(await statusesUntilDone(`${url}orders/${orderId}/live`)).toMatch(/shipped|cancelled/)
    const found = (await (await fetch(`${url}orders?search=hop+blue`)).json()) as { documents: { orderId: string }[] }
    expect(found.documents.map((order) => order.orderId)).toEqual([orderId])
    // Another read model, which follows in its own time.
    await eventually(async () =>
      expect(await (await fetch(`${url}customers/grace-hopper`)).json()).toMatchObject({ placed: 1, latest: [{ orderId }] }),
    )
  })

  test('says what is wrong with a request', async () => {
    const { url } = await openShop()
    const post = async (body: string): Promise<Response> => fetch(`${url}orders`, { method: 'POST', body })
    expect((await post('{"customer"')).status).toBe(400)
    expect((await post('{"customer":"Ada"}')).status).toBe(400)
    expect(await (await post('{"customer":"Ada","items":[{"sku":"gold","quantity":1}]}')).json()).toMatchObject({ error: /gold/ })
    expect((await fetch(`${url}orders/nobody`)).status).toBe(404)
    expect((await fetch(`${url}orders/nobody/cancel`, { method: 'POST' })).status).toBe(409)
    expect((await fetch(`${url}nothing`)).status).toBe(404)
    expect((await fetch(`${url}orders`, { method: 'DELETE' })).status).toBe(405)
    expect(await (await fetch(url)).text()).toContain('<!doctype html>')
  })
})

describe('a command line that cannot be', () => {
  const sentence = async (...args: readonly string[]): Promise<{ code: number | null; output: string }> => {
    const directory = temporaryDirectory()
    writeFileSync(join(directory, 'notes.txt'), 'These are notes, and not a database at all.\n'.repeat(200))
    return new ShopProcess(directory, args).ended
  }

  test.each([
    ['--colour', /^shop: Unknown option '--colour'.*\n$/],
    ['--orders=many', /^shop: --orders takes a whole number .*'many'\n$/],
    ['--storage=mysql://root:secret@db', /^shop: --storage takes sqlite:PATH or postgres:.*\n$/],
  ])('%s', async (flag, message) => {
    const { code, output } = await sentence(flag)
    expect(output).toMatch(message)
    expect(output).not.toContain('secret')
    expect(code).toBe(2)
  })

  test.each(['sqlite:notes.txt', 'sqlite:no/such/directory/shop.db', 'postgres://me:secret@127.0.0.1:1/shop'])(
    '--storage %s',
    async (storage) => {
      const { code, output } = await sentence('--orders', '1', '--storage', storage)
      expect(output).toMatch(/^shop: .+\n$/)
      expect(output).not.toContain('secret')
      expect(code).toBe(1)
    },
  )

  test('a port that is in use', async () => {
    const other = createServer()
    await new Promise<void>((resolve) => other.listen(0, '127.0.0.1', resolve))
    onTestFinished(() => void other.close())
    const address = other.address()
    const port = String(typeof address === 'object' ? address?.port : 0)
    const { code, output } = await sentence('--port', port)
    expect(output).toBe(`shop: port ${port} is in use: give another --port\n`)
    expect(code).toBe(2)
  })
})

async function statusesUntilDone(url: string): Promise<string> {
  const response = await fetch(url, { signal: AbortSignal.timeout(20_000) })
  expect(response.headers.get('content-type')).toBe('text/event-stream')
  let seen = ''
  for await (const chunk of response.body!) {
    seen += Buffer.from(chunk).toString()
    if (/"status":"(shipped|cancelled)"/.test(seen)) break
  }
  return seen
}
