/** What nobody can beat: a record appended to a file and synced, and bytes in one stream from one process to another. */
import { once } from 'node:events'
import { type FileHandle, open, readFile, writeFile } from 'node:fs/promises'
import { createServer, connect as dial } from 'node:net'
import { join } from 'node:path'
import type { Stream } from '@libp2p/interface'
import { noise } from '@libp2p/noise'
import { tcp } from '@libp2p/tcp'
import { yamux } from '@libp2p/yamux'
import { multiaddr } from '@multiformats/multiaddr'
import { createLibp2p, type Libp2p } from 'libp2p'
import type { Opened } from '../client.ts'
import { uncached } from '../uncached.ts'
import { installed } from './package.ts'
import type { Client, Listening, System } from './system.ts'

/** Written at once. */
const chunkBytes = 65_536
/** Read at once. */
const fileChunkBytes = 1_048_576
const protocol = '/bench/1'

/** Each is about one file in the folder. */
const onDisk: Pick<System, 'client' | 'version' | 'start'> = {
  client: 'node:fs',
  version: () => process.versions.node,
  start: async (folder) => ({ place: join(folder, 'bare'), stop: async () => undefined }),
}

export const fdatasync: System = {
  durability: 'one file, a write and an fdatasync for each record',
  ...onDisk,
  async connect(place) {
    return new FileUser(await open(place, 'a'))
  },
}

class FileUser implements Client {
  readonly #file: FileHandle

  constructor(file: FileHandle) {
    this.#file = file
  }

  async open(): Promise<void> {
    // It is.
  }

  async publish(value: Uint8Array): Promise<void> {
    await this.#file.write(value)
    await this.#file.datasync()
  }

  close(): Promise<void> {
    return this.#file.close()
  }
}

export const wholeFile: System = {
  durability: 'one file, read through from its beginning',
  ...onDisk,
  async connect(place) {
    return new FileReader(place)
  },
}

class FileReader implements Client {
  readonly #path: string

  constructor(path: string) {
    this.#path = path
  }

  async open(): Promise<void> {
    // It is when it is read.
  }

  async send(values: readonly Uint8Array[]): Promise<void> {
    const file = await open(this.#path, 'w')
    for (const chunk of chunksOf(values)) await file.write(chunk)
    await file.datasync()
    await file.close()
  }

  async reopen(bare: boolean): Promise<Opened> {
    if (bare) uncached([this.#path])
    const from = performance.now()
    const file = await open(this.#path, 'r')
    const chunk = new Uint8Array(fileChunkBytes)
    let bytes = 0
    // It says nothing of what is in it but its size.
    if (!bare) bytes = (await file.stat()).size
    else
      for (let read = -1; read !== 0; bytes += read) read = (await file.read(chunk, 0, chunk.length, bytes)).bytesRead
    await file.close()
    return { ms: performance.now() - from, bytes }
  }

  async close(): Promise<void> {
    // It is.
  }
}

export const tcpStream: System = {
  client: 'node:net',
  durability: 'none: one TCP stream',
  version: () => process.versions.node,
  start: async (folder) => ({ place: join(folder, 'address'), stop: async () => undefined }),
  connect: async (place) => new TcpUser(place),
}

/** The first client has the bytes, and leaves its address in a file. */
class TcpUser implements Client {
  readonly #path: string
  readonly #server = createServer()

  constructor(path: string) {
    this.#path = path
  }

  async open(): Promise<void> {
    // It is one when it sends or listens.
  }

  async send(values: readonly Uint8Array[]): Promise<void> {
    this.#server.on('connection', async (socket) => {
      for (const chunk of chunksOf(values)) if (!socket.write(chunk)) await once(socket, 'drain')
    })
    this.#server.listen(0, '127.0.0.1')
    await once(this.#server, 'listening')
    await writeFile(this.#path, JSON.stringify(this.#server.address()))
  }

  async listen({ onRecord, onError }: Listening): Promise<void> {
    const { port } = JSON.parse(await readFile(this.#path, 'utf8')) as { port: number }
    dial(port, '127.0.0.1').on('data', onRecord).on('error', onError)
  }

  async close(): Promise<void> {
    this.#server.close()
  }
}

export const noiseStream: System = {
  client: installed('libp2p'),
  durability: 'none: one stream of libp2p over TCP, with noise and yamux',
  version: () => installed('libp2p').split(' ').at(-1),
  start: async (folder) => ({ place: join(folder, 'address'), stop: async () => undefined }),
  async connect(place) {
    const node = await createLibp2p({
      addresses: { listen: ['/ip4/127.0.0.1/tcp/0'] },
      transports: [tcp()],
      connectionEncrypters: [noise()],
      streamMuxers: [yamux()],
    })
    return new NoiseUser(node, place)
  },
}

class NoiseUser implements Client {
  readonly #node: Libp2p
  readonly #path: string

  constructor(node: Libp2p, path: string) {
    this.#node = node
    this.#path = path
  }

  async open(): Promise<void> {
    // It is one when it sends or listens.
  }

  async send(values: readonly Uint8Array[]): Promise<void> {
    await this.#node.handle(protocol, async (stream: Stream) => {
      for (const chunk of chunksOf(values)) if (!stream.send(chunk)) await stream.onDrain()
    })
    await writeFile(this.#path, String(this.#node.getMultiaddrs()[0]))
  }

  async listen({ onRecord, onError }: Listening): Promise<void> {
    const stream = await this.#node.dialProtocol(multiaddr(await readFile(this.#path, 'utf8')), protocol)
    const read = async () => {
      for await (const chunk of stream)
        for (const part of 'subarray' in chunk ? [chunk.subarray()] : [chunk]) onRecord(part)
    }
    read().catch(onError)
  }

  async close(): Promise<void> {
    await this.#node.stop()
  }
}

function* chunksOf(values: readonly Uint8Array[]): Generator<Uint8Array> {
  const all = Buffer.concat(values)
  for (let from = 0; from < all.length; from += chunkBytes) yield all.subarray(from, from + chunkBytes)
}
