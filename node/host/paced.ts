import type { Stream } from '@libp2p/interface'
import type { Uint8ArrayList } from 'uint8arraylist'
import { limits } from '../limits.ts'

/**
 * What a stream receives, at the reader's pace. The library's own iterator queues without bound: this one pauses the
 * stream while more than `limits.readAheadBytes` waits, which closes its window.
 */
export async function* paced(stream: Stream): AsyncGenerator<Uint8Array | Uint8ArrayList> {
  const waiting: (Uint8Array | Uint8ArrayList)[] = []
  let bytes = 0
  let ended = stream.status !== 'open' || stream.readableEnded
  let wake: (() => void) | undefined
  const onMessage = (event: { data: Uint8Array | Uint8ArrayList }) => {
    waiting.push(event.data)
    bytes += event.data.byteLength
    if (bytes > limits.readAheadBytes && stream.readStatus === 'readable') stream.pause()
    wake?.()
  }
  const onEnd = () => {
    ended = true
    wake?.()
  }
  stream.addEventListener('message', onMessage)
  stream.addEventListener('end', onEnd)
  stream.addEventListener('close', onEnd)
  try {
    while (true) {
      for (let chunk = waiting.shift(); chunk !== undefined; chunk = waiting.shift()) {
        yield chunk
        bytes -= chunk.byteLength
        if (bytes < limits.readAheadBytes / 2 && stream.readStatus === 'paused') stream.resume()
      }
      if (ended) return
      await new Promise<void>((resolve) => {
        wake = resolve
      })
      wake = undefined
    }
  } finally {
    stream.removeEventListener('message', onMessage)
    stream.removeEventListener('end', onEnd)
    stream.removeEventListener('close', onEnd)
  }
}
