/**
 * The writing end of a feed. It owns the feed's sequence: every batch it seals names the hash of the one before and goes on
 * where that one's indices ended. A feed is one run: nothing of a writer is ever saved or continued, so that no restart,
 * backup or copied folder can use a number twice.
 */
import assert from 'node:assert/strict'
import { limits } from '../limits.ts'
import type { FeedId, TopicName } from '../types.ts'
import { sha256 } from '../wire/bytes.ts'
import { Compressor } from '../wire/compress.ts'
import { type Batch, feedIdOf, signHead } from '../wire/head.ts'
import type { SigningKey } from '../wire/key.ts'
import { encodeRecords, type RecordInput } from '../wire/record.ts'
import type { Stamp } from './hlc.ts'

export class FeedWriter {
  readonly feed: FeedId
  readonly #key: SigningKey
  readonly #topic: TopicName
  readonly #started: number
  readonly #nonce: Uint8Array
  readonly #compressor = new Compressor()
  #seq = 0
  #nextIndex = 0
  #prev: Uint8Array = new Uint8Array(32)

  /** `started` in ms; `nonce` 8 random bytes. */
  constructor(key: SigningKey, topic: TopicName, started: number, nonce: Uint8Array) {
    assert.equal(nonce.length, 8, 'the nonce of a feed has 8 bytes')
    this.feed = feedIdOf(key.publicKey, topic, started, nonce)
    this.#key = key
    this.#topic = topic
    this.#started = started
    this.#nonce = nonce
  }

  /**
   * The next batch of the feed: 1 to `limits.batchRecordsMax` records whose `recordSize`s fit a body; the time of what lies before the stamp
   * is that of the stamp.
   * Throws `RecordTooLarge`, and then no number is used up.
   */
  seal(records: readonly RecordInput[], stamp: Stamp): Batch {
    const raw = encodeRecords(records, stamp.time)
    assert(raw.length <= limits.bodyBytesMax, 'a batch is sealed before it outgrows limits.bodyBytesMax')
    const { body, compression } = this.#compressor.compress(raw)
    const head = signHead(
      {
        author: this.#key.publicKey,
        topic: this.#topic,
        started: this.#started,
        nonce: this.#nonce,
        seq: this.#seq + 1,
        count: records.length,
        firstIndex: this.#nextIndex,
        prev: this.#prev,
        bodyHash: sha256(body),
        bodyBytes: body.length,
        rawBytes: raw.length,
        compression,
        time: stamp.time,
        tick: stamp.tick,
        flags: 0,
      },
      this.#key,
    )
    this.#seq++
    this.#nextIndex += records.length
    this.#prev = head.hash
    return { head, body }
  }
}
