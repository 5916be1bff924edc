/** Lines of a stream as bytes, exactly as they are: only the `\n` between them goes. */
import { GrapevineError } from '../node/index.ts'

export interface LineOptions {
  /** Longer lines are refused with `RecordTooLarge`, naming the line. */
  bytesMax: number
  signal: AbortSignal
}

/** Each line without its `\n`; the last one need not have one. Views of what was read: dealt with before the next chunk. */
export async function* linesOf(
  source: AsyncIterable<Buffer>,
  { bytesMax, signal }: LineOptions,
): AsyncGenerator<Buffer> {
  let pieces: Buffer[] = []
  let bytes = 0
  let number = 1
  for await (const chunk of until(source, signal)) {
    let start = 0
    for (let end = chunk.indexOf(10); end >= 0; end = chunk.indexOf(10, start)) {
      const rest = chunk.subarray(start, end)
      yield pieces.length === 0 ? rest : Buffer.concat([...pieces, rest])
      pieces = []
      bytes = 0
      number++
      start = end + 1
    }
    if (start === chunk.length) continue
    pieces.push(chunk.subarray(start))
    bytes += chunk.length - start
    if (bytes > bytesMax) {
      throw new GrapevineError(
        'RecordTooLarge',
        `line ${number} is longer than the ${bytesMax} bytes a record may have`,
        {
          bytes,
          limitBytes: bytesMax,
        },
      )
    }
  }
  if (bytes > 0) yield Buffer.concat(pieces)
}

/** The source's items until the signal: also while it has none, as a terminal that nobody types at. */
async function* until<T>(source: AsyncIterable<T>, signal: AbortSignal): AsyncGenerator<T> {
  const iterator = source[Symbol.asyncIterator]()
  const stop = new Promise<undefined>((resolve) =>
    signal.addEventListener('abort', () => resolve(undefined), { once: true }),
  )
  try {
    while (!signal.aborted) {
      const next = await Promise.race([iterator.next(), stop])
      if (!next || next.done) return
      yield next.value
    }
  } finally {
    // Not awaited: a pending read ends only when its stream does.
    void iterator.return?.()?.catch(() => {})
  }
}
