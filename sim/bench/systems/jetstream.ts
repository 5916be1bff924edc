/** NATS JetStream: one server, a stream in files, and one durable pull consumer that all clients share. */
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { AckPolicy, type JetStreamClient, jetstream, jetstreamManager, StorageType } from '@nats-io/jetstream'
import { connect, type NatsConnection } from '@nats-io/transport-node'
import { natsVersion, startNats } from './nats.ts'
import { installed } from './package.ts'
import type { Client, Consuming, Listening, System, Use } from './system.ts'
import { inWindows } from './window.ts'

const name = 'bench'
/** Publishes that wait for their acknowledgement at once. */
const publishWindow = 1_000
/** More than all consumers have at once, so that none waits for another. */
const ackPendingMax = 20_000

export const jetStream = system('synced to disk every two minutes (its default)')
/** As safe when it confirms as the others of a durable row; not before nats-server 2.10. */
export const jetStreamSynced = system('synced to disk before it confirms (sync_interval: always)', 'always')

function system(durability: string, syncInterval?: 'always'): System {
  return {
    client: installed('@nats-io/jetstream'),
    durability: `one replica in files, explicit ack(); ${durability}`,
    version: () => (syncInterval === undefined || canSync(natsVersion()) ? natsVersion() : undefined),
    needs: syncInterval === undefined ? 'nats-server' : 'nats-server 2.10 or newer',
    start(folder) {
      const config = join(folder, 'nats.conf')
      const sync = syncInterval === undefined ? '' : `, sync_interval: ${syncInterval}`
      writeFileSync(config, `jetstream { store_dir: ${JSON.stringify(folder)}${sync} }\n`)
      return startNats(['--config', config], async (connection) =>
        (await jetstreamManager(connection)).getAccountInfo(),
      )
    },
    async connect(place, { use }) {
      return new JetStreamUser(await connect({ servers: place }), use)
    },
  }
}

function canSync(version = '0.0'): boolean {
  const [major = 0, minor = 0] = version.split('.').map(Number)
  return major > 2 || (major === 2 && minor >= 10)
}

class JetStreamUser implements Client {
  readonly #connection: NatsConnection
  readonly #stream: JetStreamClient
  readonly #use: Use

  constructor(connection: NatsConnection, use: Use) {
    this.#connection = connection
    this.#use = use
    this.#stream = jetstream(connection)
  }

  /** Asking for what is there already changes nothing. */
  async open(): Promise<void> {
    const manager = await jetstreamManager(this.#connection)
    await manager.streams.add({ name, subjects: [name], storage: StorageType.File, num_replicas: 1 })
    if (this.#use !== 'share') return
    const config = { durable_name: name, ack_policy: AckPolicy.Explicit, max_ack_pending: ackPendingMax }
    await manager.consumers.add(name, config)
  }

  send(values: readonly Uint8Array[]): Promise<void> {
    return inWindows(values, publishWindow, (value) => this.publish(value))
  }

  publish(value: Uint8Array): Promise<unknown> {
    return this.#stream.publish(name, value)
  }

  /** With an ordered consumer of its own, which is the library's way to read a stream alone. */
  async listen({ onRecord }: Listening): Promise<void> {
    const consumer = await this.#stream.consumers.get(name)
    await consumer.consume({ max_messages: publishWindow, callback: ({ data }) => onRecord(data) })
  }

  async consume({ consumers, prefetch, onRecord, onError }: Consuming): Promise<void> {
    for (let i = 0; i < consumers; i++) {
      const consumer = await this.#stream.consumers.get(name, name)
      const take = async () => {
        for await (const message of await consumer.consume({ max_messages: prefetch })) {
          message.ack()
          onRecord(i, message.data)
        }
      }
      take().catch(onError)
    }
  }

  close(): Promise<void> {
    return this.#connection.close()
  }
}
