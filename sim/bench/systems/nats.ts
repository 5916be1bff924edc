/** NATS core: one server, nothing stored. */
import { connect, type NatsConnection } from '@nats-io/transport-node'
import { Daemon, freePort, programOf, versionIn } from './daemon.ts'
import { installed } from './package.ts'
import type { Client, Listening, Server, System } from './system.ts'

const subject = 'bench'
/** Publishes between two round trips to the server, which keep the client's buffer from growing without end. */
const flushEvery = 1_000

const program = programOf('nats-server')

export const natsVersion = () => program && versionIn(program, ['--version'])

/** Starts a server on a port of its own. `attempt` resolves when it can be used. */
export async function startNats(
  args: readonly string[],
  attempt: (connection: NatsConnection) => Promise<unknown>,
): Promise<Server> {
  const port = await freePort()
  const place = `127.0.0.1:${port}`
  const daemon = new Daemon(program ?? 'nats-server', ['--addr', '127.0.0.1', '--port', String(port), ...args], {})
  await daemon.ready(async () => {
    const connection = await connect({ servers: place, reconnect: false })
    await attempt(connection)
    await connection.close()
  })
  return { place, stop: () => daemon.stop() }
}

export const nats: System = {
  client: installed('@nats-io/transport-node'),
  durability: 'none: at most once',
  version: natsVersion,
  needs: 'nats-server',
  start: () => startNats([], (connection) => connection.flush()),
  async connect(place, { use }) {
    // Whoever is cut off misses what comes until it is back: it is to be seen.
    return new NatsUser(await connect({ servers: place, reconnect: false }), use === 'round-trip')
  },
}

class NatsUser implements Client {
  readonly #connection: NatsConnection
  readonly #asks: boolean

  constructor(connection: NatsConnection, asks: boolean) {
    this.#connection = connection
    this.#asks = asks
  }

  async open(): Promise<void> {
    // A subject is there when it is used.
  }

  async send(values: readonly Uint8Array[]): Promise<void> {
    for (let from = 0; from < values.length; from += flushEvery) {
      for (const value of values.slice(from, from + flushEvery)) this.#connection.publish(subject, value)
      await this.#connection.flush()
    }
  }

  async publish(value: Uint8Array): Promise<void> {
    if (this.#asks) await this.#connection.request(subject, value)
    else this.#connection.publish(subject, value)
  }

  async listen({ onRecord, onError }: Listening): Promise<void> {
    this.#connection.subscribe(subject, {
      callback: (error, message) => {
        if (error) return onError(error)
        if (this.#asks) message.respond(message.data)
        onRecord(message.data)
      },
    })
    this.#connection.closed().then((error) => error && onError(error))
    await this.#connection.flush()
  }

  close(): Promise<void> {
    return this.#connection.close()
  }
}
