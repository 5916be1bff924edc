/** What this peer knows of one record: where it came from and when, whether it is here, and how groups stand with it. */
import type { Groups } from '../group/groups.ts'
import type { TopicLog } from '../store/topic-log.ts'
import type { Sync } from '../sync/sync.ts'
import type { Carrier } from '../topic/carrier.ts'
import { recordsOf } from '../topic/message.ts'
import type { FeedId, PeerId, RecordSight } from '../types.ts'
import type { SignedHead } from '../wire/head.ts'

export interface SightParts {
  me: PeerId
  carrier: Carrier
  sync: Sync
  groups: Groups
}

/** Undefined where nothing is known of its feed. */
export async function sightOf(
  feed: FeedId,
  index: number,
  { me, carrier, sync, groups }: SightParts,
): Promise<RecordSight | undefined> {
  for (const [topic, { log }] of carrier.taken()) {
    const range = log.feeds.get(feed)
    if (range === undefined || index >= range.nextIndex) continue
    const known = { peer: me, topic, publisher: range.author }
    const head = await headWith(log, feed, index)
    const batch = head && (await log.read(feed, head.head.seq))
    if (head === undefined || batch === undefined) return { ...known, held: 'removed', groups: [] }
    const { seq, firstIndex } = head.head
    const at = index - firstIndex
    const records = recordsOf(batch)
    const first = log.offsetOf(feed, seq)
    const arrived = sync.travel.arrived(feed, seq)
    return {
      ...known,
      held: 'here',
      seq,
      ...(first !== undefined && { offset: first + at }),
      ...(records && { time: head.head.time + records.timeDelta(at) }),
      ...(arrived && { from: arrived.from, at: arrived.at }),
      groups: records === undefined ? [] : groups.standings(topic, { feed, index, records, at }),
    }
  }
  return undefined
}

/** The head of the batch that has the record: batches are numbered as their records are. */
async function headWith(log: TopicLog, feed: FeedId, index: number): Promise<SignedHead | undefined> {
  const range = log.feeds.get(feed)
  let [low, high] = [range?.base ?? 1, range?.last ?? 0]
  while (low <= high) {
    const middle = Math.floor((low + high) / 2)
    const head = await log.head(feed, middle)
    // Lost to damage: what is on one side of it is not known.
    if (head === undefined) return undefined
    const { firstIndex, count } = head.head
    if (index < firstIndex) high = middle - 1
    else if (index >= firstIndex + count) low = middle + 1
    else return head
  }
  return undefined
}
