/** What a member reads of its group's control topic when a disk has lost some of it. */
import * as assert from 'uvu/assert'
import { HybridClock } from '../../node/feed/hlc.ts'
import { FeedWriter } from '../../node/feed/writer.ts'
import { Board } from '../../node/group/board.ts'
import { Indexes } from '../../node/group/indexes.ts'
import { encodeNotice, type Notice } from '../../node/group/notice.ts'
import type { Damage, StoredBatch, TopicLog } from '../../node/store/topic-log.ts'
import { signingKeyOf } from '../../node/wire/key.ts'
import { handClock } from '../helper/clock.ts'
import { suite } from '../helper/suite.ts'
import { control, settle } from './members.ts'

const test = suite('group')

/** A log of one notice in each place, some of which may be damaged. */
async function reading(count: number) {
  const writer = new FeedWriter(signingKeyOf(new Uint8Array(32).fill(1)), control, 1, new Uint8Array(8))
  const clock = new HybridClock(() => 1)
  const places = Array.from({ length: count }, (_, offset): StoredBatch => {
    const told: Notice = { type: 'work', feeds: [['f'.repeat(32) as never, [], [[0, offset, new Indexes(offset)]]]] }
    const batch = writer.seal([{ value: encodeNotice(told), time: 1 }], clock.stamp())
    return { row: offset, offset, batch }
  })
  const damaged = new Set<number>()
  const given = new Set<number>()
  let change = () => {}
  const at = async (offset: number): Promise<StoredBatch | Damage | undefined> => {
    const next = places.find((place) => place.offset >= offset && !given.has(place.offset))
    return next !== undefined && damaged.has(next.offset) ? { damaged: true, nextOffset: next.offset + 1 } : next
  }
  const log = {
    startOffset: 0,
    endOffset: count,
    at,
    onChange: (act: () => void) => {
      change = act
      return () => {}
    },
  }
  const heard: number[] = []
  /** Notices that had yet to be read as each was told. */
  const waiting: number[] = []
  const onNotice = (notice: Notice) => {
    waiting.push(board.unread)
    if (notice.type === 'work') heard.push(notice.feeds[0]?.[2][0]?.[1] ?? -1)
  }
  const board = new Board({ control, topics: {}, sync: {}, clock: handClock(), onNotice, onBad: () => {} } as never)
  const changed = async () => {
    change()
    await settle()
  }
  return { board, damaged, given, heard, waiting, changed, open: () => board.open(log as unknown as TopicLog) }
}

test('what was damaged and is put back by a friend is read then, once', async () => {
  const { damaged, heard, changed, open } = await reading(5)
  for (const place of [1, 2, 4]) damaged.add(place)
  await open()
  assert.equal(heard, [0, 3])
  damaged.delete(2)
  await changed()
  damaged.delete(1)
  damaged.delete(4)
  await changed()
  await changed()
  assert.equal(heard, [0, 3, 2, 1, 4])
})

test('a damaged place that is given up is not waited for', async () => {
  const { damaged, given, heard, changed, open } = await reading(3)
  damaged.add(1)
  await open()
  given.add(1)
  await changed()
  assert.equal(heard, [0, 2])
})

test('it is known how much waits to be read, and what is damaged does not for ever', async () => {
  const { board, damaged, waiting, open } = await reading(5)
  damaged.add(1)
  assert.is(board.unread, 0)
  await open()
  assert.equal(waiting, [5, 3, 2, 1])
  assert.is(board.unread, 0)
})

test.run()
