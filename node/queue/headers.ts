/** What a sender asks for a record, in its headers; whoever holds the record's slot keeps to it. */
import type { Sorting } from '../group/reader.ts'
import { limits } from '../limits.ts'
import type { Headers } from '../types.ts'
import type { RecordBatch } from '../wire/record.ts'

const notBefore = 'grapevine-not-before'
const expires = 'grapevine-expires'
const priority = 'grapevine-priority'
const dedup = 'grapevine-dedup'

export interface Wishes {
  delayMs?: number
  priority?: number
  expiresMs?: number | undefined
  dedupId?: string | undefined
}

/** Times are told as moments by the sender's clock. */
export function headersOf(wishes: Wishes, now: number): Headers {
  const { delayMs = 0, priority: urgency = limits.queuePriority, expiresMs, dedupId } = wishes
  return {
    ...(delayMs > 0 && { [notBefore]: String(Math.ceil(now + delayMs)) }),
    ...(expiresMs !== undefined && { [expires]: String(Math.ceil(now + expiresMs)) }),
    ...(urgency !== limits.queuePriority && { [priority]: String(urgency) }),
    ...(dedupId !== undefined && { [dedup]: dedupId }),
  }
}

/** What makes no sense is not asked for. */
export function sortingOf(records: RecordBatch, at: number): Sorting {
  const headers = records.headers(at)
  const from = numberIn(headers[notBefore])
  const until = numberIn(headers[expires])
  const urgency = numberIn(headers[priority])
  return {
    ...(from !== undefined && { notBefore: from }),
    ...(until !== undefined && { expires: until }),
    ...(urgency !== undefined && urgency <= limits.queuePriorityMax && { priority: urgency }),
    ...(headers[dedup] !== undefined && { dedupId: headers[dedup] }),
  }
}

function numberIn(text: string | undefined): number | undefined {
  return text !== undefined && /^\d{1,15}$/.test(text) ? Number(text) : undefined
}
