/** Reading arguments: each either gives a value or a sentence of what it should look like (exit 2). */
import { InvalidArgumentError } from 'commander'

const unitMs = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 } as const

/** `500ms`, `30s`, `10m`, `2h`, `7d` in ms. */
export function duration(text: string): number {
  const match = /^(\d+(?:\.\d+)?)(ms|s|m|h|d)$/.exec(text)
  const ms = Number(match?.[1]) * unitMs[match?.[2] as keyof typeof unitMs]
  if (ms > 0 && ms < 2 ** 31) return ms
  throw new InvalidArgumentError('Give a duration such as 500ms, 30s, 10m, 2h or 7d (at most 24d).')
}

export function count(text: string): number {
  const value = Number(text)
  if (/^\d+$/.test(text) && Number.isSafeInteger(value)) return value
  throw new InvalidArgumentError('Give a whole number, 0 or more.')
}

export function atLeastOne(text: string): number {
  const value = count(text)
  if (value > 0) return value
  throw new InvalidArgumentError('Give a whole number above 0.')
}

/** `earliest`, `latest`, a duration (that long ago) or a date. */
export function start(text: string): 'earliest' | 'latest' | Date {
  if (text === 'earliest' || text === 'latest') return text
  if (/^\d+(\.\d+)?(ms|s|m|h|d)$/.test(text)) return new Date(Date.now() - duration(text))
  const date = /^\d{4}-\d{2}/.test(text) ? new Date(text) : new Date(Number.NaN)
  if (!Number.isNaN(date.getTime())) return date
  throw new InvalidArgumentError('Give earliest, latest, how long ago (10m) or a date (2025-01-31T12:00:00Z).')
}

/** Gathers `K=V` into a record. */
export function header(text: string, before: Record<string, string> = {}): Record<string, string> {
  const at = text.indexOf('=')
  if (at > 0) return { ...before, [text.slice(0, at)]: text.slice(at + 1) }
  throw new InvalidArgumentError('Give a header as NAME=VALUE.')
}

/** Gathers an option that may be given several times. */
export function each(text: string, before: string[] = []): string[] {
  return [...before, text]
}
