import { readFile } from 'node:fs/promises'
import { HeadwaterError, InvalidMessageError, ProjectionBuildingError, serverSentEvents, uuidv7, WaitTimeoutError } from 'headwater'
import type { SendResult } from 'headwater'
import { z } from 'zod'
import { catalogue, productOf } from '../catalogue.ts'
import { AddItem, CancelOrder, PlaceOrder } from '../orders/commands.ts'
import { findOrders, orderById, ordersByStatus, ordersOfCustomer, ordersReadyToShip } from '../orders/queries.ts'
import type { OrdersApp } from '../orders/service.ts'

export interface Asked {
  readonly method: string
  readonly url: URL
  readText(): Promise<string>
}
interface Call extends Asked {
  readonly app: OrdersApp
  /** What stands in the path for `:id`. */
  readonly id: string
}

export type Routes = Readonly<Record<string, (call: Call) => Response | Promise<Response>>>

export const orderRoutes: Routes = {
  'GET /': async () =>
    new Response(await readFile(new URL('page.html', import.meta.url)), { headers: { 'content-type': 'text/html; charset=utf-8' } }),
  'GET /products': () => Response.json(catalogue),
  'POST /orders': placeOrder,
  'GET /orders': async ({ app, url }) => Response.json(await app.query(findOrders, searchOf(url))),
  'GET /orders/live': ({ app, url }) => serverSentEvents(app.watch(findOrders, searchOf(url))),
  'GET /orders/:id': async ({ app, id, url }) =>
    found(await app.query(orderById, { orderId: id }, { atLeast: Number(url.searchParams.get('atLeast') ?? 0) })),
  'GET /orders/:id/live': ({ app, id }) => serverSentEvents(app.watch(orderById, { orderId: id })),
  'POST /orders/:id/cancel': async ({ app, id }) =>
    outcome(await app.send(CancelOrder, { orderId: id, reason: 'the customer has asked for it' })),
  'GET /customers/:id': async ({ app, id }) => found(await app.query(ordersOfCustomer, { customerId: id })),
  'GET /ready-to-ship': async ({ app }) => Response.json(await app.query(ordersReadyToShip, {})),
  'GET /counts': async ({ app }) => Response.json((await app.query(ordersByStatus, {})) ?? {}),
  'GET /counts/live': ({ app }) => serverSentEvents(app.watch(ordersByStatus, {})),
  'GET /status': ({ app }) => Response.json(app.status()),
}

interface Entry {
  readonly route: string
  readonly method: string
  readonly pattern: URLPattern
  readonly handle: Routes[string]
}

export function tableOf(routes: Routes): readonly Entry[] {
  return Object.entries(routes).map(([route, handle]) => {
    const [method = '', pathname = ''] = route.split(' ')
    return { route, method, pattern: new URLPattern({ pathname }), handle }
  })
}

export async function answer(app: OrdersApp, table: readonly Entry[], asked: Asked): Promise<Response> {
  const here = table.filter(({ pattern }) => pattern.test(asked.url))
  if (here.length === 0) return problem(404, `there is no ${asked.url.pathname}; there are: ${table.map(({ route }) => route).join(', ')}`)
  const route = here.find(({ method }) => method === asked.method)
  if (!route) return problem(405, `${asked.url.pathname} takes ${here.map(({ method }) => method).join(', ')}`)
  try {
    const id = decodeURIComponent(route.pattern.exec(asked.url)?.pathname.groups['id'] ?? '')
    return await route.handle({ ...asked, app, id })
  } catch (error) {
    return problemOf(error)
  }
}

const wanted = z.object({
  customer: z.string().trim().min(1),
  items: z
    .array(z.object({ sku: z.string(), quantity: z.int().min(1).max(100) }))
    .min(1)
    .max(20),
})

async function placeOrder({ app, readText }: Call): Promise<Response> {
  const { customer, items } = wanted.parse(JSON.parse(await readText()))
  const unknown = items.find(({ sku }) => !productOf(sku))
  if (unknown) return problem(400, `there is no product ${unknown.sku}; see /products`)
  const orderId = uuidv7()
  for (const { sku, quantity } of items) await app.send(AddItem, { orderId, item: { ...productOf(sku)!, quantity } })
  const customerId = customer.toLowerCase().replaceAll(/[^\p{L}\p{N}]+/gu, '-')
  const placed = await app.send(PlaceOrder, { orderId, customerId, customerName: customer })
  return outcome(placed, { orderId, customerId }, 201)
}

/** `position` is what a reader who wants to see this very change gives as `atLeast`. */
function outcome(result: SendResult<string>, details: object = {}, status = 200): Response {
  if (!result.ok) return problem(409, result.message)
  return Response.json({ ...details, position: result.position }, { status })
}

function searchOf(url: URL): { search?: string; limit?: number } {
  const { limit, ...search } = Object.fromEntries(url.searchParams)
  return { ...search, ...(limit !== undefined && { limit: Number(limit) }) }
}

function found(value: unknown): Response {
  return value === undefined ? problem(404, 'not found') : Response.json(value)
}

function problem(status: number, error: string): Response {
  return Response.json({ error }, { status })
}

function problemOf(error: unknown): Response {
  if (error instanceof z.ZodError) return problem(400, z.prettifyError(error))
  if (error instanceof SyntaxError || error instanceof InvalidMessageError) return problem(400, error.message)
  if (error instanceof WaitTimeoutError || error instanceof ProjectionBuildingError) return problem(503, error.message)
  return problem(500, error instanceof HeadwaterError ? error.message : 'something went wrong')
}
