/**
 * The wires between the peers of a chaos run: every connection of one peer to another passes through this process, which can hold
 * what is sent in either direction, drop it, or break the connection. Who is calling whom stands in its first line (`route.ts`).
 */
import { createServer, type Server, Socket } from 'node:net'

/** Longest first line: a name and a port. */
const lineMax = 200

export class Wires {
  readonly #server: Server
  readonly #wires = new Set<Wire>()
  readonly #names = new Map<number, string>()
  #cut: (from: string, to: string) => boolean = () => false

  private constructor(server: Server) {
    this.#server = server
    server.on('connection', (socket) => this.#onCall(socket))
  }

  static async open(): Promise<Wires> {
    const server = createServer({ noDelay: true })
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject)
      server.listen(0, '127.0.0.1', resolve)
    })
    return new Wires(server)
  }

  get port(): number {
    return (this.#server.address() as { port: number }).port
  }

  /** The peer that listens on this port. */
  name(port: number, peer: string): void {
    this.#names.set(port, peer)
  }

  /** Says what is cut from now on; what was held because of an earlier cut goes on its way. */
  setCut(cut: (from: string, to: string) => boolean): void {
    this.#cut = cut
    for (const wire of this.#wires) wire.onChange()
  }

  /** Breaks every connection between two peers, at both ends. */
  reset(a: string, b: string): void {
    for (const wire of this.#between(a, b)) wire.end(true)
  }

  /** Nothing passes between two peers on the connections they have now, and neither is told. */
  silence(a: string, b: string): void {
    for (const wire of this.#between(a, b)) wire.silence()
  }

  connections(): [string, string][] {
    return [...this.#wires].flatMap((wire): [string, string][] => (wire.to === '' ? [] : [[wire.from, wire.to]]))
  }

  async close(): Promise<void> {
    for (const wire of [...this.#wires]) wire.end(true)
    await new Promise((resolve) => this.#server.close(resolve))
  }

  #between(a: string, b: string): Wire[] {
    return [...this.#wires].filter(({ from, to }) => (from === a && to === b) || (from === b && to === a))
  }

  #onCall(caller: Socket): void {
    let head = Buffer.alloc(0)
    caller.on('error', () => undefined)
    const onData = (piece: Buffer) => {
      head = Buffer.concat([head, piece])
      const end = head.indexOf('\n')
      if (end < 0) {
        if (head.length > lineMax) caller.destroy()
        return
      }
      caller.off('data', onData)
      caller.pause()
      const [from = '', port] = head.toString('latin1', 0, end).split(' ')
      const wire = new Wire(caller, from, Number(port), {
        nameOf: (of) => this.#names.get(of) ?? '',
        isCut: (a, b) => this.#cut(a, b),
        onEnd: () => this.#wires.delete(wire),
      })
      this.#wires.add(wire)
      wire.begin(head.subarray(end + 1))
    }
    caller.on('data', onData)
  }
}

interface WireWorld {
  nameOf(port: number): string
  isCut(from: string, to: string): boolean
  onEnd(): void
}

class Wire {
  readonly from: string
  readonly #port: number
  readonly #world: WireWorld
  readonly #there: Socket
  readonly #ways: [Way, Way]
  #ended = false

  constructor(caller: Socket, from: string, port: number, world: WireWorld) {
    this.from = from
    this.#port = port
    this.#world = world
    this.#there = new Socket()
    this.#there.setNoDelay(true)
    const end = (broken: boolean) => this.end(broken)
    this.#ways = [
      new Way(caller, this.#there, () => world.isCut(from, this.to), end),
      new Way(this.#there, caller, () => world.isCut(this.to, from), end),
    ]
  }

  get to(): string {
    return this.#world.nameOf(this.#port)
  }

  begin(first: Buffer): void {
    this.#there.connect(this.#port, '127.0.0.1', () => {
      for (const way of this.#ways) way.begin()
      if (first.length > 0) this.#ways[0].take(first)
    })
  }

  onChange(): void {
    for (const way of this.#ways) way.onChange()
  }

  silence(): void {
    for (const way of this.#ways) way.silent = true
  }

  end(broken: boolean): void {
    if (this.#ended) return
    this.#ended = true
    for (const way of this.#ways) way.close(broken)
    this.#world.onEnd()
  }
}

/** One direction of a connection. */
class Way {
  readonly #source: Socket
  readonly #sink: Socket
  readonly #isCut: () => boolean
  readonly #onEnd: (broken: boolean) => void
  #held: Buffer[] = []
  /** Its source has ended while it was cut: told to the other end when that is over. */
  #ended: 'no' | 'closed' | 'broken' = 'no'
  silent = false

  constructor(source: Socket, sink: Socket, isCut: () => boolean, onEnd: (broken: boolean) => void) {
    this.#source = source
    this.#sink = sink
    this.#isCut = isCut
    this.#onEnd = onEnd
    let failed = false
    source.on('error', () => {
      failed = true
    })
    source.once('close', () => {
      if (this.silent) return
      this.#ended = failed ? 'broken' : 'closed'
      this.onChange()
    })
  }

  begin(): void {
    this.#source.on('data', (piece: Buffer) => this.take(piece))
    this.#sink.on('drain', () => {
      if (this.#held.length === 0) this.#source.resume()
    })
    this.#source.resume()
  }

  take(piece: Buffer): void {
    if (this.silent) return
    if (this.#held.length > 0 || this.#isCut()) {
      this.#held.push(piece)
      this.#source.pause()
    } else if (!this.#sink.write(piece)) this.#source.pause()
  }

  onChange(): void {
    if (this.silent || this.#isCut()) return
    for (const piece of this.#held.splice(0)) this.#sink.write(piece)
    if (this.#ended === 'no') this.#source.resume()
    else this.#onEnd(this.#ended === 'broken')
  }

  close(broken: boolean): void {
    if (broken) this.#source.resetAndDestroy()
    else this.#source.end(() => this.#source.destroy())
  }
}
