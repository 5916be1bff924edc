/** Mosquitto: one MQTT server, nothing stored, at most once (QoS 0). */
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { connectAsync, type MqttClient } from 'mqtt'
import { Daemon, freePort, programOf, versionIn } from './daemon.ts'
import { installed } from './package.ts'
import type { Client, Listening, System } from './system.ts'
import { inWindows } from './window.ts'

const topic = 'bench'
/** Publishes that wait to be written at once. */
const publishWindow = 1_000

const program = programOf('mosquitto')

export const mosquitto: System = {
  client: installed('mqtt'),
  durability: 'none: QoS 0, at most once',
  needs: 'mosquitto',
  version: () => program && versionIn(program, ['-h']),
  async start(folder) {
    const port = await freePort()
    const config = join(folder, 'mosquitto.conf')
    writeFileSync(config, `listener ${port} 127.0.0.1\nallow_anonymous true\npersistence false\n`)
    const daemon = new Daemon(program ?? 'mosquitto', ['-c', config], {})
    const place = `mqtt://127.0.0.1:${port}`
    await daemon.ready(async () => {
      const client = await connectAsync(place, { reconnectPeriod: 0 }, false)
      await client.endAsync()
    })
    return { place, stop: () => daemon.stop() }
  },
  async connect(place) {
    return new MosquittoUser(await connectAsync(place))
  },
}

class MosquittoUser implements Client {
  readonly #client: MqttClient

  constructor(client: MqttClient) {
    this.#client = client
  }

  async open(): Promise<void> {
    // A topic is there when it is used.
  }

  send(values: readonly Uint8Array[]): Promise<void> {
    return inWindows(values, publishWindow, (value) => this.publish(value))
  }

  publish(value: Uint8Array): Promise<unknown> {
    return this.#client.publishAsync(topic, Buffer.from(value.buffer, value.byteOffset, value.length))
  }

  async listen({ onRecord, onError }: Listening): Promise<void> {
    this.#client.on('message', (_, value) => onRecord(value))
    this.#client.on('error', onError)
    await this.#client.subscribeAsync(topic)
  }

  close(): Promise<void> {
    return this.#client.endAsync()
  }
}
