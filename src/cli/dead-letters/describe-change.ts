/** What is another one in a JSON value, a line each: `total: 12 → 13`. Empty when nothing is. */
export function describeChange(before: unknown, after: unknown, path = ''): readonly string[] {
  if (isRecord(before) && isRecord(after)) {
    const names = new Set([...Object.keys(before), ...Object.keys(after)])
    return [...names].flatMap((name) => describeChange(valueOf(before, name), valueOf(after, name), path === '' ? name : `${path}.${name}`))
  }
  if (Array.isArray(before) && Array.isArray(after)) {
    const longer = before.length > after.length ? before : after
    return longer.flatMap((_, index) => describeChange(before[index], after[index], `${path}[${index}]`))
  }
  const [was, is] = [textOf(before), textOf(after)]
  return was === is ? [] : [`${path === '' ? 'data' : path}: ${was} → ${is}`]
}

function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

function valueOf(record: Readonly<Record<string, unknown>>, name: string): unknown {
  return Object.hasOwn(record, name) ? record[name] : undefined
}

function textOf(value: unknown): string {
  return value === undefined ? '(not there)' : JSON.stringify(value)
}
