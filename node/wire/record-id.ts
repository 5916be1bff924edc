/** The id of a record, as applications see it: `feed/index`, the same everywhere. */
import { GrapevineError } from '../errors.ts'
import type { FeedId } from '../types.ts'

/** Throws `InvalidOption` for what is no id. */
export function parseRecordId(text: string): { feed: FeedId; index: number } {
  const [, feed, digits] = /^([0-9a-f]{32})\/(\d{1,15})$/.exec(text) ?? []
  if (feed !== undefined && digits !== undefined) return { feed: feed as FeedId, index: Number(digits) }
  const message = `${JSON.stringify(String(text).slice(0, 60))} is no id of a record: they look like 0123456789abcdef0123456789abcdef/7`
  throw new GrapevineError('InvalidOption', message, { option: 'id' })
}
