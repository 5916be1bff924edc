/**
 * Where each batch of a log lies, in arrival order: 36 bytes a batch, in typed arrays that grow. Rows are numbered
 * from the first that was ever held; dropping the oldest does not renumber, inserting a repaired one does.
 */
export interface Row {
  segment: number
  position: number
  length: number
  headBytes: number
  feed: number
  count: number
  firstOffset: number
  time: number
}

const words = 5
const [segmentWord, positionWord, lengthWord, shapeWord, feedWord] = [0, 1, 2, 3, 4]
const reals = 2
/** A log that nothing has come to yet takes none of its own. */
const noWords = new Uint32Array(0)
const noReals = new Float64Array(0)
/** Rows there is room for at first. */
const roomMin = 4

export class Rows {
  /** Number of the oldest row. */
  first = 0
  length = 0
  #words = noWords
  #reals = noReals

  get end(): number {
    return this.first + this.length
  }

  get(row: number): Row {
    const at = (row - this.first) * words
    const shape = this.#words[at + shapeWord] as number
    return {
      segment: this.#words[at + segmentWord] as number,
      position: this.#words[at + positionWord] as number,
      length: this.#words[at + lengthWord] as number,
      headBytes: shape >>> 16,
      count: shape & 0xffff,
      feed: this.#words[at + feedWord] as number,
      firstOffset: this.firstOffset(row),
      time: this.time(row),
    }
  }

  firstOffset(row: number): number {
    return this.#reals[(row - this.first) * reals] as number
  }

  time(row: number): number {
    return this.#reals[(row - this.first) * reals + 1] as number
  }

  segment(row: number): number {
    return this.#words[(row - this.first) * words + segmentWord] as number
  }

  /** Offset after the row's last record. */
  endOffset(row: number): number {
    return this.firstOffset(row) + ((this.#words[(row - this.first) * words + shapeWord] as number) & 0xffff)
  }

  /** The first row that ends after `offset`: the one that holds it or, in a gap, the next. `end` if there is none. */
  find(offset: number): number {
    let low = this.first
    let high = this.end
    while (low < high) {
      const middle = (low + high) >>> 1
      if (this.endOffset(middle) > offset) high = middle
      else low = middle + 1
    }
    return low
  }

  push(row: Row): number {
    this.#reserve(1)
    this.length++
    this.#set(this.end - 1, row)
    return this.end - 1
  }

  /** Puts `added` before row `at`; every later row's number rises by as many. */
  insert(at: number, added: readonly Row[]): void {
    this.#reserve(added.length)
    this.#move(at, at + added.length)
    this.length += added.length
    added.forEach((row, i) => {
      this.#set(at + i, row)
    })
  }

  /** Takes one row out; every later row's number falls by one. */
  remove(at: number): void {
    this.#move(at + 1, at)
    this.length--
  }

  /** Forgets the oldest rows, up to and without `row`. */
  dropBefore(row: number): void {
    this.#move(row, this.first)
    this.length -= row - this.first
    this.first = row
    const spare = this.#reals.length / reals - this.length
    if (spare > this.length + 64) this.#resize(this.length)
  }

  #move(from: number, to: number): void {
    this.#words.copyWithin((to - this.first) * words, (from - this.first) * words, this.length * words)
    this.#reals.copyWithin((to - this.first) * reals, (from - this.first) * reals, this.length * reals)
  }

  #set(row: number, value: Row): void {
    const at = (row - this.first) * words
    this.#words[at + segmentWord] = value.segment
    this.#words[at + positionWord] = value.position
    this.#words[at + lengthWord] = value.length
    this.#words[at + shapeWord] = value.headBytes * 65_536 + value.count
    this.#words[at + feedWord] = value.feed
    this.#reals[(row - this.first) * reals] = value.firstOffset
    this.#reals[(row - this.first) * reals + 1] = value.time
  }

  #reserve(more: number): void {
    const room = this.#reals.length / reals
    if (this.length + more > room) this.#resize(Math.max(roomMin, this.length + more, Math.ceil(room * 1.5)))
  }

  #resize(room: number): void {
    const [oldWords, oldReals] = [this.#words, this.#reals]
    this.#words = new Uint32Array(room * words)
    this.#words.set(oldWords.subarray(0, this.length * words))
    this.#reals = new Float64Array(room * reals)
    this.#reals.set(oldReals.subarray(0, this.length * reals))
  }
}
