/** `order:o-1` is the stream of the aggregate `order` with the id `o-1`. */
export function streamName(category: string, id: string): string {
  return `${category}:${id}`
}

/** The part before the first `:`; the whole name where there is none. */
export function categoryOf(stream: string): string {
  const end = stream.indexOf(':')
  return end < 0 ? stream : stream.slice(0, end)
}

/** The part after the first `:`; the whole name where there is none. */
export function idOf(stream: string): string {
  return stream.slice(stream.indexOf(':') + 1)
}
