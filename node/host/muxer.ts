/**
 * yamux with bounds, and without a word for each word: the library answers every data frame with a window update, which doubles the frames
 * of a mesh whose messages are small. Here an update is sent when half of the window is used up, as the reference implementation
 * does; the sender never runs dry, because the other half is still open while the update is on its way.
 */
import type { StreamMuxer, StreamMuxerFactory } from '@libp2p/interface'
import { yamux } from '@libp2p/yamux'
import { limits } from '../limits.ts'

type Yamux = ReturnType<typeof yamux>

/** What is touched of the library's streams; where a later version differs, they are left as they are. */
interface WindowedStream {
  state: number
  recvWindow: number
  recvWindowCapacity: number
  sendWindowUpdate(): void
}

/** Of the library's stream states: opened by both sides, and flowing. */
const established = 3

export function thriftyYamux(): Yamux {
  const make: (...components: unknown[]) => ReturnType<Yamux> = yamux({
    maxInboundStreams: limits.streamsPerConnectionMax,
    maxOutboundStreams: limits.streamsPerConnectionMax,
    maxEarlyStreams: limits.streamsPerConnectionMax,
    streamOptions: {
      maxStreamWindowSize: limits.windowBytesMax,
      // A paused reader has at most one window unread: more than that is a peer that ignores the window.
      maxReadBufferLength: limits.windowBytesMax + limits.frameBytesMax,
    },
  })
  return (...components: unknown[]) => {
    const factory = make(...components)
    const create = factory.createStreamMuxer.bind(factory)
    const thrifty: StreamMuxerFactory['createStreamMuxer'] = (...args) => withThriftyStreams(create(...args))
    return Object.assign(factory, { createStreamMuxer: thrifty as typeof factory.createStreamMuxer })
  }
}

function withThriftyStreams(muxer: StreamMuxer): StreamMuxer {
  const inner = muxer as unknown as { _newStream?: (...args: unknown[]) => WindowedStream }
  const open = inner._newStream?.bind(muxer)
  if (open === undefined) return muxer
  inner._newStream = (...args) => {
    const stream = open(...args)
    const update = stream.sendWindowUpdate.bind(stream)
    stream.sendWindowUpdate = () => {
      if (stream.state !== established || stream.recvWindowCapacity <= stream.recvWindow / 2) update()
    }
    return stream
  }
  return muxer
}
