import * as assert from 'uvu/assert'
import { FeedWriter } from '../../node/feed/writer.ts'
import { type HeadInput, judgeHead, nearBatches } from '../../node/gossip/judge.ts'
import type { FeedRange } from '../../node/store/topic-log.ts'
import type { TopicName } from '../../node/types.ts'
import { type Batch, openHead } from '../../node/wire/head.ts'
import { signingKeyOf } from '../../node/wire/key.ts'
import { suite } from '../helper/suite.ts'

const test = suite('gossip')
const topic = 'orders' as TopicName
const writer = new FeedWriter(signingKeyOf(new Uint8Array(32).fill(1)), topic, 1, new Uint8Array(8))
const batches: Batch[] = Array.from({ length: nearBatches + 5 }, (_, i) =>
  writer.seal([{ value: new Uint8Array(1), time: i }], { time: i, tick: 0 }),
)
const head = (seq: number) => (batches[seq - 1] as Batch).head

/** The feed as held here to `last`. */
function held(last: number, some: Partial<FeedRange> = {}): FeedRange {
  const { hash, author } = head(last)
  return { base: 1, last, hash, nextIndex: last, author, forked: false, started: 1, ...some }
}

function forged(seq: number) {
  const bytes = new Uint8Array(head(seq).bytes)
  bytes[bytes.length - 1] = (bytes.at(-1) as number) ^ 1
  return openHead(bytes)
}

const table: [says: string, verdict: string, input: Partial<HeadInput> & Pick<HeadInput, 'head'>][] = [
  ['the next one with its body is stored', 'store', { head: head(3), hasBody: true, range: held(2) }],
  ['the first one of a new feed is stored', 'store', { head: head(1), hasBody: true, range: undefined }],
  [
    'the next one after what is being stored is stored',
    'store',
    { head: head(5), hasBody: true, range: held(2), arriving: 4 },
  ],
  [
    'one that comes again while it is being stored waits for that',
    'fetch',
    { head: head(4), hasBody: true, range: held(2), arriving: 4 },
  ],
  ['the next one without a body is fetched', 'fetch', { head: head(3), range: held(2) }],
  ['one further ahead is fetched with what lies between', 'fetch', { head: head(5), hasBody: true, range: held(2) }],
  ['one at the edge of what is near is fetched', 'fetch', { head: head(nearBatches + 2), range: held(2) }],
  ['one far ahead is fetched, but not held back for', 'later', { head: head(nearBatches + 3), range: held(2) }],
  ['one too many to hold back is fetched', 'later', { head: head(3), range: held(2), pending: 10 }],
  ['what we hold at the tip is passed on', 'held', { head: head(2), range: held(2) }],
  ['what we hold before the tip is passed on', 'held', { head: head(1), range: held(2) }],
  ['what we have long had is not spread again', 'ignore', { head: head(1), range: held(nearBatches + 2) }],
  [
    'another head at our tip goes to where forks are proven',
    'store',
    { head: head(2), range: held(2, { hash: new Uint8Array(32) }) },
  ],
  ['of a forked feed nothing is wanted', 'ignore', { head: head(3), range: held(2, { forked: true }) }],
  ['of a topic we do not carry nothing is wanted', 'ignore', { head: head(3), range: held(2), carried: false }],
  ['a forged head is refused', 'reject', { head: forged(3), range: held(2) }],
  [
    'what comes next from its author is left to where it is stored',
    'store',
    { head: forged(3), hasBody: true, range: held(2), isAuthors: true },
  ],
  [
    'a forged head from its author is refused where it is not stored',
    'reject',
    { head: forged(4), hasBody: true, range: held(2), isAuthors: true },
  ],
  ['a forged head is refused even if we do not carry the topic', 'reject', { head: forged(3), carried: false }],
  ['a head of another topic is refused', 'reject', { head: head(3), topic: 'others', range: held(2) }],
]

for (const [says, verdict, input] of table) {
  test(says, () => {
    const full: HeadInput = {
      topic,
      hasBody: false,
      range: undefined,
      arriving: 0,
      carried: true,
      isAuthors: false,
      pending: 0,
      ...input,
    }
    assert.is(judgeHead(full, 10), verdict)
  })
}

test.run()
