/** RabbitMQ: one node; each consumer has a channel of its own, and whoever listens a queue of its own behind an exchange. */
import { spawnSync } from 'node:child_process'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { type Channel, type ChannelModel, type ConfirmChannel, type ConsumeMessage, connect } from 'amqplib'
import { Daemon, freePort, programOf, versionIn } from './daemon.ts'
import { installed } from './package.ts'
import type { Client, Consuming, Listening, Server, System, Which } from './system.ts'

/** Of the queue that is shared, and of the exchange whose records all who listen get. */
const name = 'bench'
/** Publishes that wait to be confirmed at once. */
const publishWindow = 1_000

/** Debian's own starts it as another user, in that user's folders: behind it is the one that does as it is told. */
const program = programOf('rabbitmq-server', '/usr/lib/rabbitmq/bin/rabbitmq-server')
const erlang = programOf('erl')
const epmd = programOf('epmd')

type QueueType = 'quorum' | 'classic'

export const rabbitMq = system(
  'quorum',
  'quorum queue on one node, publisher confirms, manual ack; its log is synced to disk before it confirms',
)
export const rabbitMqClassic = system(
  'classic',
  'durable classic queue, publisher confirms, manual ack; fan-out: none, and no acknowledgements',
)

function system(type: QueueType, durability: string): System {
  return {
    client: installed('amqplib'),
    durability,
    needs: 'rabbitmq-server',
    version: () =>
      program === undefined || erlang === undefined || epmd === undefined ? undefined : versionOf(program),
    start: startRabbit,
    async connect(place, which) {
      const connection = await connect(place)
      return new RabbitMqUser(connection, await connection.createConfirmChannel(), type, which)
    },
  }
}

async function startRabbit(folder: string): Promise<Server> {
  const port = await freePort()
  const mapperPort = String(await freePort())
  const place = `amqp://127.0.0.1:${port}`
  const plugins = join(folder, 'plugins')
  const none = join(folder, 'none')
  writeFileSync(plugins, '[].\n')
  writeFileSync(`${none}.conf`, '')
  const env = {
    PATH: process.env.PATH,
    LANG: 'C.UTF-8',
    HOME: folder,
    RABBITMQ_NODENAME: 'bench@localhost',
    RABBITMQ_NODE_IP_ADDRESS: '127.0.0.1',
    RABBITMQ_NODE_PORT: String(port),
    RABBITMQ_DIST_PORT: String(await freePort()),
    RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS: '-kernel inet_dist_use_interface {127,0,0,1}',
    RABBITMQ_MNESIA_BASE: join(folder, 'mnesia'),
    RABBITMQ_LOG_BASE: join(folder, 'log'),
    RABBITMQ_PID_FILE: join(folder, 'pid'),
    RABBITMQ_ENABLED_PLUGINS_FILE: plugins,
    RABBITMQ_CONF_ENV_FILE: none,
    RABBITMQ_CONFIG_FILE: `${none}.conf`,
    ERL_EPMD_ADDRESS: '127.0.0.1',
    ERL_EPMD_PORT: mapperPort,
  }
  const daemon = new Daemon(program ?? 'rabbitmq-server', [], { env, cwd: folder })
  // Erlang's port mapper leaves the group that started it, and serves only this node.
  const endMapper = () => void spawnSync(epmd ?? 'epmd', ['-port', mapperPort, '-kill'], { stdio: 'ignore' })
  process.once('exit', endMapper)
  const stop = async () => {
    await daemon.stop()
    process.off('exit', endMapper)
    endMapper()
  }
  await daemon
    .ready(async () => (await connect(place)).close())
    .catch(async (error) => {
      await stop()
      throw error
    })
  return { place, stop }
}

/** Where it keeps its code is named after it; asking the program itself would start half of it. */
function versionOf(path: string): string {
  const { stdout } = spawnSync('ls', [join(path, '../../lib')], { encoding: 'utf8' })
  return /\d+\.\d+\.\d+/.exec(stdout)?.[0] ?? versionIn(path, ['--version']) ?? 'of unknown version'
}

class RabbitMqUser implements Client {
  readonly #connection: ChannelModel
  readonly #channel: ConfirmChannel
  readonly #type: QueueType
  readonly #number: number
  readonly #isFannedOut: boolean
  /** A classic queue that one client listens at goes with it, as live updates are mostly had. */
  readonly #isTransient: boolean

  constructor(connection: ChannelModel, channel: ConfirmChannel, type: QueueType, { number, use }: Which) {
    this.#connection = connection
    this.#channel = channel
    this.#type = type
    this.#number = number
    this.#isFannedOut = use === 'fan-out'
    this.#isTransient = this.#isFannedOut && type === 'classic'
  }

  async open(): Promise<void> {
    if (this.#isFannedOut) await this.#channel.assertExchange(name, 'fanout', { durable: true })
    else await this.#assertQueue(this.#channel, name)
  }

  async send(values: readonly Uint8Array[]): Promise<void> {
    for (let from = 0; from < values.length; from += publishWindow) {
      for (const value of values.slice(from, from + publishWindow)) this.#publish(value)
      await this.#channel.waitForConfirms()
    }
  }

  publish(value: Uint8Array): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#publish(value, (error: unknown) => (error ? reject(error) : resolve()))
    })
  }

  #publish(value: Uint8Array, onConfirmed?: (error: unknown) => void): void {
    // To the exchange, or past it to the queue.
    const [exchange, key] = this.#isFannedOut ? [name, ''] : ['', name]
    const bytes = Buffer.from(value.buffer, value.byteOffset, value.length)
    this.#channel.publish(exchange, key, bytes, { persistent: !this.#isTransient }, onConfirmed)
  }

  async listen({ onRecord, onError }: Listening): Promise<void> {
    const channel = await this.#connection.createChannel()
    const queue = `${name}-${this.#number}`
    await this.#assertQueue(channel, queue)
    await channel.bindQueue(queue, name, '')
    // A quorum queue hands out nothing without a limit to what is unacknowledged.
    await channel.prefetch(publishWindow)
    const noAck = this.#isTransient
    const onMessage = (message: ConsumeMessage | null) => {
      if (message === null) return onError(new Error('the server cancelled the consumer'))
      if (!noAck) channel.ack(message)
      onRecord(message.content)
    }
    await channel.consume(queue, onMessage, { noAck })
  }

  async consume({ consumers, prefetch, onRecord, onError }: Consuming): Promise<void> {
    for (let i = 0; i < consumers; i++) {
      const channel = await this.#connection.createChannel()
      await channel.prefetch(prefetch)
      await channel.consume(name, (message) => {
        if (message === null) return onError(new Error('the server cancelled the consumer'))
        channel.ack(message)
        onRecord(i, message.content)
      })
    }
  }

  close(): Promise<void> {
    return this.#connection.close()
  }

  async #assertQueue(channel: Channel, queue: string): Promise<void> {
    const kept = !this.#isTransient
    await channel.assertQueue(queue, { durable: kept, exclusive: !kept, arguments: { 'x-queue-type': this.#type } })
  }
}
