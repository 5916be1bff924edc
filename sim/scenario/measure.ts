/** How scenario files write quantities: `500ms`, `10s`, `2m`; `200`, `64KiB`, `1MiB`; `5MB/s`; `>= 100`. */
import { z } from 'zod'

const times = { ms: 1, s: 1_000, m: 60_000 } as const
const sizes = { B: 1, KB: 1e3, MB: 1e6, KiB: 1024, MiB: 1024 ** 2 } as const

/** `plain` is what a number without a unit means; zero needs none. */
function scaled(units: Record<string, number>, sentence: string, plain?: string) {
  const pattern = new RegExp(`^(-?\\d+(?:\\.\\d+)?)\\s*(${Object.keys(units).join('|')})?$`)
  return z.union([z.string(), z.number()], { error: sentence }).transform((value, context) => {
    const [, number, unit = plain] = pattern.exec(String(value)) ?? []
    const factor = Number(number) === 0 ? 0 : units[unit ?? '']
    if (factor !== undefined) return Number(number) * factor
    context.addIssue({ code: 'custom', message: sentence })
    return z.NEVER
  })
}

/** Milliseconds. */
export const duration = scaled(times, 'takes a time such as 500ms, 10s or 2m').pipe(
  z.number().min(0, { error: 'takes a time that is not below 0' }),
)
export const anyDuration = scaled(times, 'takes a time such as -500ms, 10s or 2m')
export const size = scaled(sizes, 'takes a size such as 200, 64KiB or 1MiB', 'B').pipe(
  z.int({ error: 'takes a whole number of bytes' }).min(0, { error: 'takes a size that is not below 0' }),
)

/** Bytes a second. */
export const bandwidth = z
  .string({ error: 'takes a bandwidth such as 200KB/s or 10MB/s' })
  .regex(/\/s$/, { error: 'takes a bandwidth such as 200KB/s or 10MB/s' })
  .transform((text): string | number => text.slice(0, -2))
  .pipe(size)

/** `{ min, max }` of a size: one, or two with a dash between. */
export const sizeRange = z
  .union([z.string(), z.number()], { error: 'takes a size or two, as 100-64KiB' })
  .transform((value, context) => {
    const [low, high = low] = String(value).split('-')
    const [min, max] = [size.safeParse(low?.trim()), size.safeParse(high?.trim())]
    if (!min.success || !max.success || min.data > max.data) {
      context.addIssue({ code: 'custom', message: 'takes a size or two, the smaller first, as 100-64KiB' })
      return z.NEVER
    }
    return { min: min.data, max: max.data }
  })

export type Relation = '=' | '<' | '<=' | '>' | '>='
export interface Comparison {
  relation: Relation
  bound: number
}

/** `0`, `= 0`, `>= 100`, `< 5s` (ms where it has a unit of time). */
export const comparison = z
  .union([z.string(), z.number()], { error: 'takes a comparison such as 0, >= 100 or < 5s' })
  .transform((value, context): Comparison => {
    const [, relation = '=', number, unit = ''] =
      /^(=|<=?|>=?)?\s*(-?\d+(?:\.\d+)?)\s*(ms|s|m)?$/.exec(String(value)) ?? []
    if (number === undefined) {
      context.addIssue({ code: 'custom', message: 'takes a comparison such as 0, >= 100 or < 5s' })
      return z.NEVER
    }
    const factor = unit === '' ? 1 : times[unit as keyof typeof times]
    return { relation: relation as Relation, bound: Number(number) * factor }
  })

export function holds({ relation, bound }: Comparison, value: number): boolean {
  switch (relation) {
    case '=':
      return value === bound
    case '<':
      return value < bound
    case '<=':
      return value <= bound
    case '>':
      return value > bound
    case '>=':
      return value >= bound
  }
}
