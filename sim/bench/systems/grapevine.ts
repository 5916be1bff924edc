/** Grapevine itself: no server; each client is a peer with a folder of its own, in a mesh of only these. */
import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { createPeer, type Group, type Peer, version } from '../../../node/index.ts'
import type { Client, Consuming, System } from './system.ts'

const topicName = 'bench'

export const grapevine: System = {
  client: 'createPeer()',
  durability: 'filled: synced to disk by all peers; acknowledged: synced to disk by two of them, and only then counted',
  version: () => version,
  async start(folder) {
    mkdirSync(join(folder, 'run'), { mode: 0o700 })
    return { place: folder, stop: async () => undefined }
  },
  async connect(folder, { number, of }) {
    // Where peers of one machine find each other.
    process.env.XDG_RUNTIME_DIR = join(folder, 'run')
    return new GrapevineUser(await createPeer({ data: join(folder, `peer-${number}`) }), of - 1)
  },
}

class GrapevineUser implements Client {
  readonly #peer: Peer
  readonly #others: number
  readonly #group: Group<Uint8Array>

  constructor(peer: Peer, others: number) {
    this.#peer = peer
    this.#others = others
    this.#group = peer.topic<Uint8Array>(topicName, { codec: 'bytes' }).group('group', { from: 'earliest' })
  }

  async open(): Promise<void> {
    while ((await this.#peer.status()).friends < this.#others) await sleep(50)
    await this.#group.status()
  }

  async fill(values: readonly Uint8Array[]): Promise<void> {
    const records = values.map((value) => ({ value }))
    await this.#peer.topic<Uint8Array>(topicName, { codec: 'bytes' }).publishMany(records, { confirm: this.#others })
  }

  async consume({ consumers, prefetch, onRecord, onError }: Consuming): Promise<void> {
    for (let i = 0; i < consumers; i++) {
      const take = async () => {
        for await (const record of this.#group.consume({ concurrency: prefetch })) {
          const { value } = record
          // Counts when its acknowledgement is safe; the next is taken meanwhile.
          record.ack().then(() => onRecord(i, value), onError)
        }
      }
      take().catch(onError)
    }
  }

  close(): Promise<void> {
    return this.#peer.close()
  }
}
