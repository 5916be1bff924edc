/**
 * What a log holds, in memory: rows in arrival order, feeds, segments and damaged places. No IO; every change is whole
 * before anybody else runs.
 */
import { limits } from '../limits.ts'
import type { Clock } from '../ports.ts'
import type { FeedId } from '../types.ts'
import type { SignedHead } from '../wire/head.ts'
import { type FeedTip, HeldFeed } from './held.ts'
import { type Row, Rows } from './rows.ts'

export interface Segment {
  /** Consecutive in a log, as long as it is open. */
  readonly id: number
  readonly path: string
  readonly firstOffset: number
  bytes: number
  /** Time of the newest batch, ms. */
  newest: number
  /** There is an index of it. */
  indexed: boolean
}

/** A place whose batches are lost, between two that are not. */
export interface Region {
  readonly segment: Segment
  readonly position: number
  readonly length: number
  readonly offset: number
  /** Offset of what follows. */
  readonly nextOffset: number
  /** At the end of its segment, where what was lost may have been longer. */
  readonly tail: boolean
  /** When it was found, ms. */
  readonly since: number
  /** Its bytes are kept aside. */
  readonly saved: boolean
}

export interface Place {
  segment: Segment
  position: number
  length: number
  offset: number
  head: SignedHead
}

/** A frame as the index of its segment tells of it. */
export interface Entry extends Pick<Row, 'position' | 'length' | 'headBytes' | 'count' | 'time'> {
  offset: number
  feed: FeedId
  seq: number
  /** Where the index has it. */
  head: SignedHead | undefined
}

/** Of a peer's thousands of topics most are idle. */
const noFeeds: ReadonlyMap<FeedId, HeldFeed> = new Map()

export class Arrival {
  readonly rows = new Rows()
  #feeds: Map<FeedId, HeldFeed> | undefined
  #forked: Set<FeedId> | undefined
  segments: Segment[] = []
  /** By offset. */
  regions: Region[] = []
  endOffset = 0
  records = 0
  readonly #numbered: HeldFeed[] = []
  readonly #clock: Pick<Clock, 'now'>

  constructor(clock: Pick<Clock, 'now'>) {
    this.#clock = clock
  }

  get feeds(): ReadonlyMap<FeedId, HeldFeed> {
    return this.#feeds ?? noFeeds
  }

  get startOffset(): number {
    return this.segments[0]?.firstOffset ?? this.endOffset
  }

  get bytes(): number {
    return this.segments.reduce((sum, segment) => sum + segment.bytes, 0)
  }

  /** Whether a batch begins at this offset. */
  holds(offset: number): boolean {
    const row = this.rows.find(offset)
    return row < this.rows.end && this.rows.firstOffset(row) === offset
  }

  segment(row: number): Segment {
    const first = this.segments[0] as Segment
    return this.segments[this.rows.segment(row) - first.id] as Segment
  }

  /** Begins a feed; `tip.floor` is the lowest number it ought to have here. */
  begin(tip: FeedTip): HeldFeed {
    const feed = new HeldFeed(this.#numbered.length, tip)
    feed.forked = this.#forked?.has(tip.id) ?? false
    this.#numbered.push(feed)
    this.#feeds ??= new Map()
    this.#feeds.set(tip.id, feed)
    return feed
  }

  /** Stops a feed, whether or not anything is held of it. */
  fork(id: FeedId): void {
    this.#forked ??= new Set()
    this.#forked.add(id)
    const held = this.feeds.get(id)
    if (held !== undefined) held.forked = true
  }

  /** Adds a batch at the end; `floor` is the lowest number its feed ought to have here, should it begin (or begin again) with this. */
  add(place: Place, floor = 1): void {
    const { head, feed: id, author } = place.head
    const held = this.feeds.get(id)
    if (held !== undefined) {
      if (head.seq === floor && head.seq > held.last + 1) held.skipTo(head)
    } else {
      const { seq, prev: hash, firstIndex: nextIndex, started } = head
      this.begin({ id, floor, last: seq - 1, hash, nextIndex, author, started })
    }
    this.#feedOf(place).put(place.head, this.rows.push(this.#rowOf(place)))
    this.endOffset = place.offset + head.count
  }

  /** Adds the batch that follows the newest of a feed, as an index tells of it. */
  follow(feed: HeldFeed, segment: Segment, entry: Entry): void {
    const { position, length, headBytes, count, offset, time } = entry
    feed.follow(
      this.rows.push({
        segment: segment.id,
        position,
        length,
        headBytes,
        feed: feed.number,
        count,
        firstOffset: offset,
        time,
      }),
    )
    segment.newest = Math.max(segment.newest, time)
    this.records += count
    this.endOffset = offset + count
  }

  /** Puts what was lost in one region back between its neighbours. */
  insert(places: readonly Place[]): void {
    const at = this.rows.find((places[0] as Place).offset)
    this.rows.insert(
      at,
      places.map((place) => this.#rowOf(place)),
    )
    for (const feed of this.feeds.values()) feed.renumber(at, places.length)
    places.forEach((place, i) => {
      this.#feedOf(place).put(place.head, at + i)
    })
  }

  /** Takes out a batch that turned out to be damaged. */
  lose(row: number, saved: boolean): Region {
    const lost = this.rows.get(row)
    const region: Region = {
      segment: this.segment(row),
      position: lost.position,
      length: lost.length,
      offset: lost.firstOffset,
      nextOffset: lost.firstOffset + lost.count,
      tail: false,
      since: this.#clock.now(),
      saved,
    }
    const feed = this.#numbered[lost.feed] as HeldFeed
    const seq = feed.seqOf(row)
    if (seq !== undefined) feed.clear(seq)
    this.rows.remove(row)
    for (const other of this.feeds.values()) other.renumber(row + 1, -1)
    this.records -= lost.count
    this.addRegion(region)
    return region
  }

  addRegion(region: Region): void {
    this.regions = [...this.regions, region].sort((a, b) => a.offset - b.offset)
  }

  removeRegion(region: Region): void {
    this.regions = this.regions.filter((other) => other !== region)
  }

  /** Forgets the oldest `count` segments; returns the feeds of which something went. */
  dropSegments(count: number): HeldFeed[] {
    const kept = this.segments[count] as Segment
    let row = this.rows.first
    for (; row < this.rows.end && this.rows.segment(row) < kept.id; row++) this.records -= this.rows.get(row).count
    this.segments = this.segments.slice(count)
    this.regions = this.regions.filter(({ segment }) => segment.id >= kept.id)
    this.rows.dropBefore(row)
    return [...this.feeds.values()].filter((feed) => feed.dropBefore(row))
  }

  /** Of feeds that retention has emptied, forgets those begun first while there are more than `max`. */
  forgetEmptied(max: number): FeedId[] {
    const emptied = [...this.feeds.values()].filter(({ base, last }) => base > last)
    const excess = emptied.sort((a, b) => a.started - b.started).slice(0, Math.max(0, emptied.length - max))
    for (const { id } of excess) this.#feeds?.delete(id)
    return excess.map(({ id }) => id)
  }

  holes(): { feed: FeedId; seq: number }[] {
    const holes: { feed: FeedId; seq: number }[] = []
    for (const [feed, held] of this.feeds) {
      if (holes.length >= limits.holesMax) break
      for (const seq of held.holes(limits.holesMax - holes.length)) holes.push({ feed, seq })
    }
    return holes
  }

  #feedOf({ head }: Place): HeldFeed {
    return this.feeds.get(head.feed) as HeldFeed
  }

  #rowOf(place: Place): Row {
    const { segment, position, length, offset, head } = place
    // A publisher's clock that runs ahead must not keep a segment for ever.
    const time = Math.min(head.head.time, this.#clock.now())
    segment.newest = Math.max(segment.newest, time)
    this.records += head.head.count
    const { number } = this.#feedOf(place)
    const { count } = head.head
    return {
      segment: segment.id,
      position,
      length,
      headBytes: head.bytes.length,
      feed: number,
      count,
      firstOffset: offset,
      time,
    }
  }
}
