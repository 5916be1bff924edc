/** Members on one store in memory, under a clock that is moved by hand: what one tells, all have read in the next moment. */
import { HybridClock } from '../../node/feed/hlc.ts'
import { FeedWriter } from '../../node/feed/writer.ts'
import { Groups } from '../../node/group/groups.ts'
import type { MemberParts } from '../../node/group/member.ts'
import { memoryDisk } from '../../node/store/memory.ts'
import { openState } from '../../node/store/state.ts'
import { openStore } from '../../node/store/store.ts'
import type { TopicLog } from '../../node/store/topic-log.ts'
import { codecOf } from '../../node/topic/codec.ts'
import type { Sink } from '../../node/topic/publisher.ts'
import type { Group, GroupOptions, TopicName } from '../../node/types.ts'
import { peerIdOf, signingKeyOf } from '../../node/wire/key.ts'
import type { RecordInput } from '../../node/wire/record.ts'
import { handClock } from '../helper/clock.ts'

export const jobs = 'jobs' as TopicName
export const control = '$groups.jobs.work' as TopicName

export async function place() {
  const clock = handClock()
  const store = await openStore({ clock, disk: memoryDisk(), openState: () => openState(null) }, { data: null })
  const hybrid = new HybridClock(() => clock.now())

  /** A peer: it writes feeds of its own to the logs that all share. */
  function peer(number: number) {
    const key = signingKeyOf(new Uint8Array(32).fill(number))
    const writers = new Map<TopicName, FeedWriter>()
    const blamed: string[] = []
    let writing = Promise.resolve()
    const append = (topic: TopicName, record: RecordInput, sink: Sink) => {
      const writer = writers.get(topic) ?? new FeedWriter(key, topic, clock.now(), new Uint8Array(8).fill(number))
      writers.set(topic, writer)
      const batch = writer.seal([record], hybrid.stamp())
      const { feed } = batch.head
      const { seq, firstIndex: index } = batch.head.head
      writing = writing.then(async () => {
        await (await store.open(topic)).append([batch])
        sink.onDone({ count: 1, bytes: batch.body.length, feed, seq, index, copies: 0 })
      })
    }
    const parts = {
      me: peerIdOf(key.publicKey),
      topics: { append, latest: () => async () => {}, meet: async () => {}, strangers: () => [] },
      carrier: { carry: (topic: TopicName) => store.open(topic), drop: () => {}, taken: () => [] },
      sync: { holders: () => [], hasGap: () => false },
      clock,
      onMisbehaved: (by: string) => void blamed.push(by),
    } as unknown as MemberParts
    const groups = new Groups(parts)
    return {
      id: parts.me,
      blamed,
      groups,
      group: (options: GroupOptions = {}) =>
        groups.group(jobs, 'work', { from: 'earliest', ...options }, codecOf('json')) as Group<number>,
      /** Whatever it likes, on any topic. */
      say: (topic: TopicName, value: Uint8Array | string) =>
        new Promise<void>((resolve, reject) =>
          append(
            topic,
            { value: Buffer.from(value), time: clock.now() },
            { confirm: 0, timeoutMs: 1, onDone: () => resolve(), onFailed: (_count, _bytes, error) => reject(error) },
          ),
        ),
      publish(value: number) {
        return this.say(jobs, String(value))
      },
    }
  }

  /** Moves the clock on in steps, between which everything that waits for nothing but a turn is done. */
  async function pass(ms: number, stepMs = 250): Promise<void> {
    for (let left = ms; left > 0; left -= stepMs) {
      clock.pass(Math.min(left, stepMs))
      await settle()
    }
  }

  return { clock, store, peer, pass, log: (topic: TopicName): Promise<TopicLog> => store.open(topic) }
}

/** Turns enough for a write and what follows from it. */
export async function settle(): Promise<void> {
  for (let turn = 0; turn < 5; turn++) await new Promise<void>((resolve) => setImmediate(resolve))
}
