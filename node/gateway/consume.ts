/**
 * The serving end of `/v1/consume`: one consumer of a group, whose records are sent on as they are handed out, so that its application finds
 * the next one there when it asks.
 *
 * 1. What is sent and not settled is bounded by the consumer's concurrency. A connection that is not read holds back one record more.
 * 2. A record's time begins when its application takes it (`taken`); until then it is kept from running out. An application that takes
 *    nothing for two leases hangs: what waits for it goes back, and the consumer leaves the group until it asks again, as it would here.
 * 3. When the connection ends, whatever ended it, the consumer does too, and what was not settled goes back at once.
 * 4. A consumer that says `end` gets nothing more and may still settle what it took; then the connection is closed.
 */
import type { WebSocket } from 'ws'
import type { z } from 'zod'
import { isError } from '../errors.ts'
import { limits } from '../limits.ts'
import type { Group, GroupRecord, Peer } from '../types.ts'
import { Channel } from './channel.ts'
import {
  badRequest,
  type ConsumerWord,
  consumeOpening,
  consumerWord,
  failureOf,
  packDelivery,
  parseJson,
} from './frame.ts'
import { groupOf } from './queue.ts'

export function serveConsume(socket: WebSocket, peer: Peer): void {
  new Consuming(socket, peer)
}

type Handed = GroupRecord<Uint8Array>
/** A group, or a queue. */
type Consumable = Pick<Group<Uint8Array>, 'consume'>
type SettlingWord = Extract<ConsumerWord, { id: number }>

interface Held {
  record: Handed
  taken: boolean
  /** Its time is over then, by the clock here. */
  until: number
}

class Consuming {
  readonly #channel: Channel
  readonly #peer: Peer
  /** By the number under which it was sent. */
  readonly #held = new Map<number, Held>()
  #group: Consumable | undefined
  #concurrency = 1
  /** How long a record is its consumer's. */
  #visibilityMs: number = limits.groupLeaseMs
  /** Undefined while the application hangs. */
  #records: AsyncIterator<Handed> | undefined
  #sent = 0
  /** When the application took something, or the first record began to wait for it. */
  #takenAt = 0
  /** What is being done with records and not answered yet. */
  #settling = 0
  #onSettled: (() => void) | undefined
  #ending = false
  #tending: NodeJS.Timeout | undefined

  constructor(socket: WebSocket, peer: Peer) {
    this.#peer = peer
    this.#channel = new Channel(socket, {
      onText: (text) => this.#onText(text),
      onFrame: () => this.#fail(badRequest('a consumer sends no records')),
      onClose: () => this.#onGone(),
    })
  }

  #onText(text: string): void {
    try {
      if (this.#group) this.#onWord(parseJson(text, consumerWord))
      else this.#begin(parseJson(text, consumeOpening))
    } catch (error) {
      this.#fail(error)
    }
  }

  #begin({ concurrency = 1, ...opening }: z.infer<typeof consumeOpening>): void {
    this.#group = groupOf(this.#peer, opening)
    this.#concurrency = concurrency
    const { leaseMs = limits.groupLeaseMs, visibilityMs = limits.queueVisibilityMs } = opening.options
    this.#visibilityMs = opening.queue ? visibilityMs : leaseMs
    this.#consume(this.#group)
    this.#tending = setInterval(() => this.#tend(), this.#visibilityMs / 3)
  }

  #consume(group: Consumable): void {
    const records = group.consume({ concurrency: this.#concurrency })[Symbol.asyncIterator]()
    this.#records = records
    void this.#deliver(records)
  }

  async #deliver(records: AsyncIterator<Handed>): Promise<void> {
    try {
      for (let next = await records.next(); !next.done; next = await records.next()) {
        if (this.#records !== records) giveBack(next.value)
        else await this.#send(next.value)
      }
      // The group has ended here.
      if (this.#records === records) this.#end()
    } catch (error) {
      this.#fail(error)
    }
  }

  async #send(record: Handed): Promise<void> {
    const now = Date.now()
    if (this.#waiting().length === 0) this.#takenAt = now
    const number = this.#sent++
    this.#held.set(number, { record, taken: false, until: now + this.#visibilityMs })
    const { attempt, fencingToken } = record
    await this.#channel.sendFrame(packDelivery([record], number, { attempt, fencingToken }))
    // Nobody gets ahead of its own acknowledgements.
    while (this.#settling >= limits.groupConcurrencyMax && !this.#ending)
      await new Promise<void>((resolve) => {
        this.#onSettled = resolve
      })
  }

  #onWord(word: ConsumerWord): void {
    switch (word.type) {
      case 'taken':
        this.#onTaken(word.numbers)
        return
      case 'ask':
        if (this.#records === undefined && this.#group !== undefined && !this.#ending) this.#consume(this.#group)
        return
      case 'end':
        this.#end()
        return
      default:
        void this.#settle(word)
    }
  }

  #onTaken(numbers: readonly number[]): void {
    const now = Date.now()
    this.#takenAt = now
    for (const number of numbers) {
      const held = this.#held.get(number)
      if (held === undefined) continue
      held.taken = true
      // What was sent a moment ago has nearly all of its time.
      if (held.until - now < 0.9 * this.#visibilityMs) this.#extend(held, this.#visibilityMs).catch(() => undefined)
    }
  }

  async #settle(word: SettlingWord): Promise<void> {
    const { id, number } = word
    const held = this.#held.get(number)
    this.#settling++
    try {
      if (held !== undefined) await this.#act(held, word)
      if (word.type !== 'extend') this.#held.delete(number)
      this.#channel.send({ type: held === undefined ? 'gone' : 'done', id })
    } catch (error) {
      // Whoever asked in the wrong way may ask again.
      if (!isError(error, 'InvalidOption')) this.#held.delete(number)
      this.#channel.send({ type: 'failed', id, failure: failureOf(error) })
    }
    this.#settling--
    this.#onSettled?.()
    if (this.#ending) this.#closeWhenSettled()
  }

  async #act(held: Held, word: SettlingWord): Promise<void> {
    held.taken = true
    if (word.type === 'ack') await held.record.ack()
    else if (word.type === 'extend') await this.#extend(held, word.ms)
    else await held.record.nack(word.delayMs === undefined ? {} : { delayMs: word.delayMs })
  }

  async #extend(held: Held, ms: number): Promise<void> {
    await held.record.extend(ms)
    held.until = Date.now() + ms
  }

  #waiting(): [number, Held][] {
    return [...this.#held].filter(([, { taken }]) => !taken)
  }

  #tend(): void {
    const now = Date.now()
    for (const [number, { taken, until }] of this.#held) if (taken && until <= now) this.#held.delete(number)
    if (this.#ending) this.#closeWhenSettled()
    const waiting = this.#waiting()
    if (waiting.length > 0 && now - this.#takenAt >= 2 * this.#visibilityMs) this.#leave()
    else
      for (const [number, held] of waiting) this.#extend(held, this.#visibilityMs).catch(() => this.#takeBack([number]))
  }

  /** The application hangs. */
  #leave(): void {
    void this.#records?.return?.()
    this.#records = undefined
    this.#takeBack(this.#waiting().map(([number]) => number))
    this.#channel.send({ type: 'left' })
  }

  #takeBack(numbers: readonly number[]): void {
    for (const number of numbers) {
      const held = this.#held.get(number)
      if (held !== undefined) giveBack(held.record)
      this.#held.delete(number)
    }
    this.#channel.send({ type: 'back', numbers })
  }

  /** Nothing more is handed out: the client wants no more, or the group has ended here. */
  #end(): void {
    if (this.#ending) return
    this.#ending = true
    this.#onSettled?.()
    void this.#records?.return?.()
    this.#records = undefined
    this.#takeBack(this.#waiting().map(([number]) => number))
    this.#channel.send({ type: 'end' })
    this.#closeWhenSettled()
  }

  #closeWhenSettled(): void {
    if (this.#held.size === 0 && this.#settling === 0) this.#channel.close()
  }

  #fail(error: unknown): void {
    this.#channel.send({ type: 'error', ...failureOf(error) })
    this.#channel.close()
    this.#onGone()
  }

  #onGone(): void {
    this.#ending = true
    this.#onSettled?.()
    clearInterval(this.#tending)
    void this.#records?.return?.()
    this.#records = undefined
    for (const { record } of this.#held.values()) giveBack(record)
    this.#held.clear()
  }
}

/** What is not its any more is with somebody else by now. */
function giveBack(record: Handed): void {
  record.nack().catch(() => undefined)
}
