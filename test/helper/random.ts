/** mulberry32, uniform in [0, 1): a run that failed can be drawn again from its seed. */
export function random(seed: number): () => number {
  let state = seed
  return () => {
    state = (state + 0x6d2b79f5) | 0
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state)
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
  }
}

const edges = [0, 1, 0x7f, 0x80, 0xff]

/** A near miss of `bytes`: one to four of the changes that decoders stumble over. With `other`, spliced with it first. */
export function mutated(draw: () => number, bytes: Uint8Array, other?: Uint8Array): Uint8Array {
  const below = (bound: number) => Math.floor(draw() * bound)
  let out = Buffer.from(bytes)
  if (other) out = Buffer.concat([out.subarray(0, below(out.length + 1)), other.subarray(below(other.length + 1))])
  for (let left = 1 + below(4); left > 0; left--) {
    const at = below(out.length)
    switch (below(6)) {
      case 0:
        if (out.length > 0) out.writeUInt8((out[at] ?? 0) ^ (1 << below(8)), at)
        break
      case 1:
        if (out.length > 0) out.writeUInt8(edges[below(edges.length)] ?? 0, at)
        break
      case 2:
        out = out.subarray(0, at)
        break
      case 3:
        // A part comes twice, as when a write was repeated.
        out = Buffer.concat([out.subarray(0, at), out.subarray(below(at + 1))])
        break
      case 4:
        out = Buffer.concat([out.subarray(0, at), Buffer.alloc(1 + below(12), below(256)), out.subarray(at)])
        break
      default:
        // A number at its largest: a varint that goes on, or a length of four bytes.
        out = Buffer.from(out)
        out.fill(0xff, at, Math.min(out.length, at + 1 + below(9)))
    }
  }
  return out
}
