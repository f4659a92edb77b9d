/**
 * What is watched as a response of server-sent events, one JSON value a `message` event, for `EventSource` in a page. A comment every 15 seconds keeps
 * proxies from closing the connection. When the reader goes away, watching ends. Serve it from anything that takes a web `Response`.
 */
export function serverSentEvents(
  changes: AsyncIterable<unknown>,
  { keepAliveMs = 15_000 }: { readonly keepAliveMs?: number } = {},
): Response {
  const encoder = new TextEncoder()
  const iterator = changes[Symbol.asyncIterator]()
  let keepAlive: NodeJS.Timeout | undefined
  const body = new ReadableStream<Uint8Array>({
    start(controller) {
      keepAlive = setInterval(() => controller.enqueue(encoder.encode(': still here\n\n')), keepAliveMs)
      keepAlive.unref()
    },
    async pull(controller) {
      try {
        const { value, done } = await iterator.next()
        if (!done) return controller.enqueue(encoder.encode(`data: ${JSON.stringify(value) ?? 'null'}\n\n`))
        clearInterval(keepAlive)
        controller.close()
      } catch (error) {
        clearInterval(keepAlive)
        controller.error(error)
      }
    },
    async cancel() {
      clearInterval(keepAlive)
      await iterator.return?.()
    },
  })
  return new Response(body, { headers: { 'content-type': 'text/event-stream', 'cache-control': 'no-store', 'x-accel-buffering': 'no' } })
}
