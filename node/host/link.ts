/**
 * One long-lived stream of length-prefixed frames per connected peer and protocol.
 *
 * 1. The peer with the lower id opens it, and opens it again with a short backoff when it breaks while the connection lives.
 * 2. The other side accepts one: the newest wins, so that a stream it has not yet seen die does not stand in the way.
 * 3. Reading is paced: `onFrame` is awaited, and while it works at most a buffer's worth of frames is taken in; then the
 *    stream's window closes and the sender's `send` returns false.
 * 4. A peer that does not read loses its link before more than ten times `limits.linkBufferBytesMax` waits for it.
 */
import type { Connection, Stream } from '@libp2p/interface'
import * as lp from 'it-length-prefixed'
import { pipe } from 'it-pipe'
import { Uint8ArrayList } from 'uint8arraylist'
import { limits } from '../limits.ts'
import type { Clock, Timer } from '../ports.ts'
import type { PeerId } from '../types.ts'
import { within } from './deadline.ts'
import type { Host } from './host.ts'
import { paced } from './paced.ts'

/** One frame, in one piece or in several. */
export type FrameBytes = Uint8Array | Uint8ArrayList

export interface Link {
  readonly peer: PeerId
  readonly open: boolean
  /** Queues a frame; false: enough is waiting, send more after `writable()`. A closed link drops it and says false. */
  send(frame: FrameBytes): boolean
  /** Several frames at once. */
  sendMany(frames: readonly FrameBytes[]): boolean
  /** Resolves when it is time to send again, and when the link closes. */
  writable(): Promise<void>
  /** Sends what is queued and closes. While the connection lives, a new link takes its place. */
  close(reason: string): void
}

export interface LinkHandler {
  onOpen(link: Link): void
  /** One frame, in the pieces in which it came; a promise holds back the frames after it. The bytes may be kept. */
  onFrame(link: Link, frame: FrameBytes): void | Promise<void>
  /** Once for every `onOpen`. `oversize`: it announced a frame larger than `limits.frameBytesMax`, or nothing that is a length. */
  onClose(link: Link, reason: string, fault?: 'oversize'): void
}

export interface Links {
  get(peer: PeerId): Link | undefined
  all(): Link[]
  close(): Promise<void>
}

/** Keeps a link with every connected peer until closed. */
export function links(host: Host, protocol: string, handler: LinkHandler): Links {
  return new LinkKeeper(host, protocol, handler)
}

class LinkKeeper implements Links {
  readonly #host: Host
  readonly #protocol: string
  readonly #handler: LinkHandler
  readonly #links = new Map<PeerId, StreamLink>()
  readonly #opening = new Map<PeerId, { timer?: Timer; tries: number }>()
  readonly #offs: (() => void)[]
  readonly #handling: Promise<void>
  #closed = false

  constructor(host: Host, protocol: string, handler: LinkHandler) {
    this.#host = host
    this.#protocol = protocol
    this.#handler = handler
    this.#handling = host.libp2p.handle(protocol, (stream, connection) => this.#onStream(stream, connection), {
      maxInboundStreams: limits.linkStreamsMax,
      maxOutboundStreams: limits.linkStreamsMax,
    })
    this.#offs = [
      host.onConnect((peer) => this.#open(peer)),
      // The streams close with the connection; what they had received is still read to its end.
      host.onDisconnect((peer) => this.#forgetOpening(peer)),
    ]
    for (const peer of host.connected()) this.#open(peer)
  }

  get(peer: PeerId): Link | undefined {
    return this.#links.get(peer)
  }

  all(): Link[] {
    return [...this.#links.values()]
  }

  async close(): Promise<void> {
    this.#closed = true
    for (const off of this.#offs) off()
    for (const peer of [...this.#opening.keys()]) this.#forgetOpening(peer)
    await this.#handling
    await this.#host.libp2p.unhandle(this.#protocol)
    await Promise.all([...this.#links.values()].map((link) => link.finish('closed here')))
  }

  #open(peer: PeerId): void {
    if (this.#closed || this.#host.id > peer || this.#links.has(peer) || this.#opening.has(peer)) return
    this.#opening.set(peer, { tries: 0 })
    void this.#tryOpen(peer)
  }

  async #tryOpen(peer: PeerId): Promise<void> {
    const opening = this.#opening.get(peer)
    const connection = this.#host.connectionOf(peer)
    if (opening === undefined) return
    if (connection === undefined) {
      this.#opening.delete(peer)
      return
    }
    try {
      const stream = await within(this.#host.clock, limits.dialTimeoutMs, (signal) =>
        connection.newStream(this.#protocol, { signal, maxOutboundStreams: limits.linkStreamsMax }),
      )
      if (this.#opening.get(peer) !== opening) {
        stream.abort(new Error('no longer wanted'))
        return
      }
      this.#opening.delete(peer)
      this.#onStream(stream, connection)
    } catch {
      // The other side may not have started this room yet, or just be closing: look again, ever more patiently.
      if (this.#opening.get(peer) !== opening) return
      const wait = Math.min(limits.linkRetryMsMax, limits.linkRetryMsMin * 2 ** opening.tries)
      opening.tries++
      opening.timer = this.#host.clock.after(wait, () => void this.#tryOpen(peer))
    }
  }

  #forgetOpening(peer: PeerId): void {
    this.#opening.get(peer)?.timer?.cancel()
    this.#opening.delete(peer)
  }

  #onStream(stream: Stream, connection: Connection): void {
    const peer = connection.remotePeer.toString() as PeerId
    if (this.#closed || connection.status !== 'open') {
      stream.abort(new Error('closed'))
      return
    }
    this.#links.get(peer)?.end('replaced by a newer stream')
    const link = new StreamLink(peer, stream, this.#host.clock, this.#handler, (ended) => this.#onEnd(ended))
    this.#links.set(peer, link)
    link.start()
  }

  #onEnd(link: StreamLink): void {
    if (this.#links.get(link.peer) !== link) return
    this.#links.delete(link.peer)
    if (this.#closed || this.#host.id > link.peer || this.#opening.has(link.peer)) return
    const timer = this.#host.clock.after(limits.linkRetryMsMin, () => void this.#tryOpen(link.peer))
    this.#opening.set(link.peer, { timer, tries: 1 })
  }
}

class StreamLink implements Link {
  readonly peer: PeerId
  readonly #stream: Stream
  readonly #clock: Clock
  readonly #handler: LinkHandler
  readonly #onEnd: (link: StreamLink) => void
  #ending: Timer | undefined
  #state: 'new' | 'open' | 'closing' | 'closed' = 'new'

  constructor(peer: PeerId, stream: Stream, clock: Clock, handler: LinkHandler, onEnd: (link: StreamLink) => void) {
    this.peer = peer
    this.#stream = stream
    this.#clock = clock
    this.#handler = handler
    this.#onEnd = onEnd
  }

  get open(): boolean {
    return this.#state === 'open'
  }

  start(): void {
    this.#state = 'open'
    // Not the end yet: a farewell that came with the close is still to be read. But a handler that is slow must not
    // keep the next link from opening.
    this.#stream.addEventListener('close', () => {
      if (this.#state === 'open') this.#state = 'closing'
      if (this.#state === 'closing') this.#ending = this.#clock.after(limits.lastWordsMs, () => this.end('closed'))
    })
    this.#handler.onOpen(this)
    void this.#read(paced(this.#stream))
  }

  async #read(source: AsyncIterable<Uint8Array | Uint8ArrayList>): Promise<void> {
    try {
      await pipe(
        source,
        (bytes) => lp.decode(bytes, { maxDataLength: limits.frameBytesMax, maxLengthLength: 4 }),
        async (frames) => {
          for await (const frame of frames) {
            if (this.#state === 'closed') return
            const working = this.#handler.onFrame(this, frame)
            if (working !== undefined) await working
          }
        },
      )
      this.end('closed by the other side')
    } catch (error) {
      this.end(error instanceof Error ? error.message : String(error), isOversize(error) ? 'oversize' : undefined)
    }
  }

  send(frame: FrameBytes): boolean {
    return this.sendMany([frame])
  }

  sendMany(frames: readonly FrameBytes[]): boolean {
    if (this.#state !== 'open') return false
    const list = new Uint8ArrayList()
    for (const frame of frames) list.append(lp.encode.single(frame))
    try {
      this.#stream.send(list)
    } catch (error) {
      this.end(error instanceof Error ? error.message : String(error))
      return false
    }
    if (this.#stream.writeBufferLength > limits.linkBufferBytesMax * 10) {
      this.end('does not read what it is sent')
      return false
    }
    return this.#stream.writeBufferLength < limits.linkBufferBytesMax
  }

  async writable(): Promise<void> {
    while (this.#state === 'open' && this.#stream.writeBufferLength >= limits.linkBufferBytesMax) {
      await this.#drained()
    }
  }

  #drained(): Promise<void> {
    const stream = this.#stream
    return new Promise((resolve) => {
      // On 'drain' the library sends on in a microtask of its own, queued before ours: by then the buffer is shorter.
      const done = () => {
        for (const name of ['drain', 'idle', 'close'] as const) stream.removeEventListener(name, done)
        queueMicrotask(resolve)
      }
      for (const name of ['drain', 'idle', 'close'] as const) stream.addEventListener(name, done)
    })
  }

  close(reason: string): void {
    void this.finish(reason)
  }

  /** As `close`, and resolves when it is done. */
  async finish(reason: string): Promise<void> {
    if (this.#state !== 'open') return
    this.#state = 'closing'
    try {
      await within(this.#clock, limits.hangUpMs, (signal) => this.#stream.close({ signal }))
    } catch {
      // It was broken already.
    }
    this.end(reason)
  }

  end(reason: string, fault?: 'oversize'): void {
    if (this.#state === 'closed') return
    this.#state = 'closed'
    this.#ending?.cancel()
    this.#stream.abort(new Error(reason))
    this.#onEnd(this)
    this.#handler.onClose(this, reason, fault)
  }
}

/** The library does not export its classes of errors, but keeps their names. */
const oversizeNames = ['InvalidDataLengthError', 'InvalidDataLengthLengthError']

function isOversize(error: unknown): boolean {
  return error instanceof Error && oversizeNames.includes(error.name)
}
