/** NATS JetStream: one server, a stream in files, and one durable pull consumer that all clients share. */
import { AckPolicy, type JetStreamClient, jetstream, jetstreamManager, StorageType } from '@nats-io/jetstream'
import { connect, type NatsConnection } from '@nats-io/transport-node'
import { Daemon, freePort, programOf, versionIn } from './daemon.ts'
import { installed } from './package.ts'
import type { Client, Consuming, System } from './system.ts'

const name = 'bench'
/** Publishes that wait for their acknowledgement at once. */
const publishWindow = 1_000
/** More than all consumers have at once, so that none waits for another. */
const ackPendingMax = 20_000

const program = programOf('nats-server')

export const jetStream: System = {
  client: installed('@nats-io/jetstream'),
  durability: 'one replica in files, explicit ack(); synced to disk every two minutes (its default)',
  version: () => program && versionIn(program, ['--version']),
  async start(folder) {
    const port = await freePort()
    const place = `127.0.0.1:${port}`
    const args = ['--addr', '127.0.0.1', '--port', String(port), '--jetstream', '--store_dir', folder]
    const daemon = new Daemon(program ?? 'nats-server', args, {})
    await daemon.ready(async () => {
      const connection = await connect({ servers: place, reconnect: false })
      await (await jetstreamManager(connection)).getAccountInfo()
      await connection.close()
    })
    return { place, stop: () => daemon.stop() }
  },
  async connect(place) {
    return new JetStreamUser(await connect({ servers: place }))
  },
}

class JetStreamUser implements Client {
  readonly #connection: NatsConnection
  readonly #stream: JetStreamClient

  constructor(connection: NatsConnection) {
    this.#connection = connection
    this.#stream = jetstream(connection)
  }

  /** Asking for what is there already changes nothing. */
  async open(): Promise<void> {
    const manager = await jetstreamManager(this.#connection)
    await manager.streams.add({ name, subjects: [name], storage: StorageType.File, num_replicas: 1 })
    const config = { durable_name: name, ack_policy: AckPolicy.Explicit, max_ack_pending: ackPendingMax }
    await manager.consumers.add(name, config)
  }

  async fill(values: readonly Uint8Array[]): Promise<void> {
    for (let from = 0; from < values.length; from += publishWindow) {
      const window = values.slice(from, from + publishWindow)
      await Promise.all(window.map((value) => this.#stream.publish(name, value)))
    }
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
