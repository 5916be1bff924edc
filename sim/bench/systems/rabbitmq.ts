/** RabbitMQ: one node and a quorum queue; each consumer has a channel of its own. */
import { spawnSync } from 'node:child_process'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { type ChannelModel, connect } from 'amqplib'
import { Daemon, freePort, programOf, versionIn } from './daemon.ts'
import { installed } from './package.ts'
import type { Client, Consuming, System } from './system.ts'

const queue = 'bench'
/** Publishes that wait to be confirmed at once. */
const publishWindow = 1_000

/** Debian's own starts it as another user, in that user's folders: behind it is the one that does as it is told. */
const program = programOf('rabbitmq-server', '/usr/lib/rabbitmq/bin/rabbitmq-server')
const erlang = programOf('erl')
const epmd = programOf('epmd')

export const rabbitMq: System = {
  client: installed('amqplib'),
  durability: 'quorum queue on one node, publisher confirms, manual ack; its log is synced to disk before it confirms',
  version: () => (program === undefined || erlang === undefined || epmd === undefined ? undefined : versionOf(program)),
  async start(folder) {
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
  },
  async connect(place) {
    return new RabbitMqUser(await connect(place))
  },
}

/** Where it keeps its code is named after it; asking the program itself would start half of it. */
function versionOf(path: string): string {
  const { stdout } = spawnSync('ls', [join(path, '../../lib')], { encoding: 'utf8' })
  return /\d+\.\d+\.\d+/.exec(stdout)?.[0] ?? versionIn(path, ['--version']) ?? 'of unknown version'
}

class RabbitMqUser implements Client {
  readonly #connection: ChannelModel

  constructor(connection: ChannelModel) {
    this.#connection = connection
  }

  async open(): Promise<void> {
    const channel = await this.#connection.createChannel()
    await channel.assertQueue(queue, { durable: true, arguments: { 'x-queue-type': 'quorum' } })
    await channel.close()
  }

  async fill(values: readonly Uint8Array[]): Promise<void> {
    const channel = await this.#connection.createConfirmChannel()
    for (let from = 0; from < values.length; from += publishWindow) {
      for (const value of values.slice(from, from + publishWindow))
        channel.sendToQueue(queue, Buffer.from(value.buffer, value.byteOffset, value.length), { persistent: true })
      await channel.waitForConfirms()
    }
    await channel.close()
  }

  async consume({ consumers, prefetch, onRecord, onError }: Consuming): Promise<void> {
    for (let i = 0; i < consumers; i++) {
      const channel = await this.#connection.createChannel()
      await channel.prefetch(prefetch)
      await channel.consume(queue, (message) => {
        if (message === null) return onError(new Error('the server cancelled the consumer'))
        channel.ack(message)
        onRecord(i, message.content)
      })
    }
  }

  close(): Promise<void> {
    return this.#connection.close()
  }
}
