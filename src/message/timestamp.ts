const rfc3339 = /^(\d{4})-(\d\d)-(\d\d)[Tt ](\d\d):(\d\d):(\d\d)(?:\.(\d+))?(?:[Zz]|([+-])(\d\d):(\d\d))$/

/** What `formatTimestamp` writes, which the platform reads faster; it takes days that do not exist for others, and gives no time for minutes that do not. */
const ownFormat = /^\d{4}-\d\d-\d\dT(?:[01]\d|2[0-3]):\d\d:\d\d\.\d{3}Z$/

/**
 * The time that an RFC 3339 timestamp means, with any offset; undefined when it is none, or names a day that does not exist (`Date.parse` takes
 * the 30th of February for a day in March). Fractions of a second are cut after milliseconds, which is what a `Date` holds; a leap second
 * becomes the second after it.
 */
export function parseTimestamp(text: string): Date | undefined {
  if (ownFormat.test(text)) {
    const time = new Date(text)
    if (time.getUTCDate() === Number(text.slice(8, 10))) return time
  }
  const match = rfc3339.exec(text)
  if (!match) return undefined
  const part = (group: number): number => Number(match[group] ?? 0)
  const [year, month, day, hour, minute, second] = [part(1), part(2), part(3), part(4), part(5), part(6)]
  const [offsetHour, offsetMinute] = [part(9), part(10)]
  if (hour > 23 || minute > 59 || second > 60 || offsetHour > 23 || offsetMinute > 59) return undefined
  const time = new Date(0)
  time.setUTCFullYear(year, month - 1, day)
  if (time.getUTCMonth() !== month - 1 || time.getUTCDate() !== day) return undefined
  const offset = (match[8] === '-' ? -1 : 1) * (offsetHour * 60 + offsetMinute)
  const milliseconds = Number((match[7] ?? '').slice(0, 3).padEnd(3, '0'))
  time.setUTCHours(hour, minute - offset, second, milliseconds)
  return time
}

/** The time as an RFC 3339 timestamp in UTC with milliseconds; undefined outside the years 0 to 9999, which the format cannot express. */
export function formatTimestamp(time: Date): string | undefined {
  const text = time.toISOString()
  return text.length === 24 ? text : undefined
}
