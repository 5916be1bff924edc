/** Follows every payload across the network: how many copies of it were carried, and by how many hops each peer got it first. */
import { payloadMark } from './payload.ts'

export class Copies {
  /** Payloads that arrived anywhere, copies of one included. */
  carried = 0
  /** By publication, by peer: hops from its publisher. */
  readonly #hops = new Map<number, Map<string, number>>()
  readonly #histogram: number[] = []
  /** By publication, by peer: how often it came. */
  readonly #times = new Map<number, Map<string, number>>()

  onPublish(id: number, peer: string): void {
    this.#hops.set(id, new Map([[peer, 0]]))
  }

  /** Bytes as they come off a connection; a mark that two frames share is not seen, which is rare enough. */
  onArrive(from: string, to: string, bytes: Uint8Array): void {
    const view = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
    for (let at = view.indexOf(payloadMark); at >= 0; at = view.indexOf(payloadMark, at + payloadMark.length)) {
      this.carried++
      if (at + payloadMark.length + 4 <= view.length)
        this.#arrived(view.readUInt32LE(at + payloadMark.length), from, to)
    }
  }

  /** How many (record, peer) pairs took 1, 2, … hops; the first is those of none. */
  get histogram(): readonly number[] {
    return this.#histogram
  }

  /** To how many (record, peer) pairs the payload came once, twice, …; the first is those of none. */
  get received(): readonly number[] {
    const received: number[] = []
    for (const peers of this.#times.values())
      for (const times of peers.values()) {
        while (received.length <= times) received.push(0)
        received[times] = (received[times] as number) + 1
      }
    return received
  }

  #arrived(id: number, from: string, to: string): void {
    const times = this.#times.get(id) ?? new Map<string, number>()
    this.#times.set(id, times.set(to, (times.get(to) ?? 0) + 1))
    const hops = this.#hops.get(id)
    if (hops === undefined || hops.has(to)) return
    const count = (hops.get(from) ?? 0) + 1
    hops.set(to, count)
    while (this.#histogram.length <= count) this.#histogram.push(0)
    this.#histogram[count] = (this.#histogram[count] as number) + 1
  }
}
