/** Redis streams: one server; each client that listens reads the stream by itself. */
import { createClient, RESP_TYPES } from '@redis/client'
import { Daemon, freePort, programOf, versionIn } from './daemon.ts'
import { installed } from './package.ts'
import type { Client, Listening, System } from './system.ts'
import { inWindows } from './window.ts'

const stream = 'bench'
/** Commands that wait for their answer at once. */
const publishWindow = 1_000
/** Records that one read returns. */
const readMax = 1_000

const program = programOf('redis-server')

export const redis = system('append-only file, synced to disk every second (its default)', 'everysec')
export const redisSynced = system('append-only file, synced to disk before it answers (appendfsync always)', 'always')

function system(durability: string, appendSync: string): System {
  return {
    client: installed('@redis/client'),
    durability,
    needs: 'redis-server',
    version: () => program && versionIn(program, ['--version']),
    async start(folder) {
      const port = await freePort()
      const place = `redis://127.0.0.1:${port}`
      const files = ['--dir', folder, '--save', '', '--appendonly', 'yes', '--appendfsync', appendSync]
      const args = ['--bind', '127.0.0.1', '--port', String(port), ...files]
      const daemon = new Daemon(program ?? 'redis-server', args, {})
      await daemon.ready(async () => (await clientAt(place)).close())
      return { place, stop: () => daemon.stop() }
    },
    async connect(place) {
      return new RedisUser(await clientAt(place))
    },
  }
}

type Commands = Awaited<ReturnType<typeof clientAt>>

async function clientAt(url: string) {
  const client = createClient({ url, socket: { reconnectStrategy: false } }).withTypeMapping({
    [RESP_TYPES.BLOB_STRING]: Buffer,
  })
  client.on('error', () => undefined)
  return await client.connect()
}

class RedisUser implements Client {
  readonly #client: Commands

  constructor(client: Commands) {
    this.#client = client
  }

  async open(): Promise<void> {
    // A stream is there when it is used.
  }

  send(values: readonly Uint8Array[]): Promise<void> {
    return inWindows(values, publishWindow, (value) => this.publish(value))
  }

  /** What is asked for in one turn of the event loop goes in one write. */
  publish(value: Uint8Array): Promise<unknown> {
    return this.#client.xAdd(stream, '*', { value: Buffer.from(value.buffer, value.byteOffset, value.length) })
  }

  async listen({ onRecord, onError }: Listening): Promise<void> {
    const read = async () => {
      for (let id = '0'; ; ) {
        const streams = await this.#client.xRead({ key: stream, id }, { BLOCK: 0, COUNT: readMax })
        for (const { messages } of (streams ?? []) as Read[])
          for (const { id: last, message } of messages) {
            id = String(last)
            if (message.value) onRecord(message.value)
          }
      }
    }
    read().catch(onError)
  }

  async close(): Promise<void> {
    this.#client.destroy()
  }
}

interface Read {
  messages: { id: Buffer; message: Record<string, Buffer> }[]
}
