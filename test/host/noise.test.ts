import { randomBytes } from 'node:crypto'
import { generateKeyPair } from '@libp2p/crypto/keys'
import type { ConnectionEncrypter, MessageStream } from '@libp2p/interface'
import { noise } from '@libp2p/noise'
import { peerIdFromPrivateKey } from '@libp2p/peer-id'
import { multiaddrConnectionPair } from '@libp2p/utils'
import * as assert from 'uvu/assert'
import { fastNoise } from '../../node/host/noise.ts'
import { suite } from '../helper/suite.ts'
import { until } from '../helper/until.ts'

const test = suite('host/noise')

type Make = typeof noise

const silent = Object.assign(() => undefined, {
  enabled: false,
  error: () => undefined,
  trace: () => undefined,
  newScope: (): unknown => silent,
})

async function encrypterOf(make: Make): Promise<{ encrypter: ConnectionEncrypter; id: string }> {
  const privateKey = await generateKeyPair('Ed25519')
  const peerId = peerIdFromPrivateKey(privateKey)
  const upgrader = { getStreamMuxers: () => new Map() }
  const components = { privateKey, peerId, logger: { forComponent: () => silent }, upgrader } as unknown as Parameters<
    ReturnType<Make>
  >[0]
  return { encrypter: make({ prologueBytes: new Uint8Array([1]) })(components), id: peerId.toString() }
}

/** Two ends that have shaken hands; `spoil` is told of each message that goes out from the first one before it does. */
async function pair(
  dialler: Make,
  listener: Make,
  spoil: (message: Uint8Array) => void = () => undefined,
): Promise<[MessageStream, MessageStream]> {
  const [outbound, inbound] = multiaddrConnectionPair()
  const send = outbound.send.bind(outbound)
  outbound.send = (data) => {
    const message = data.slice()
    spoil(message)
    return send(message)
  }
  const [from, to] = [await encrypterOf(dialler), await encrypterOf(listener)]
  const [one, other] = await Promise.all([
    from.encrypter.secureOutbound(outbound, {}),
    to.encrypter.secureInbound(inbound, {}),
  ])
  assert.is(one.remotePeer.toString(), to.id)
  assert.is(other.remotePeer.toString(), from.id)
  return [one.connection, other.connection]
}

const makes: [name: string, make: Make][] = [
  ['ours', fastNoise as Make],
  ["the library's", noise],
]

for (const [dialler, dial] of makes)
  for (const [listener, listen] of makes)
    test(`what ${dialler} noise sends, ${listener} reads, of any size and in any pieces`, async () => {
      const [one, other] = await pair(dial, listen)
      for (const [from, to] of [
        [one, other],
        [other, one],
      ] as const) {
        const heard: Uint8Array[] = []
        to.addEventListener('message', ({ data }) => heard.push(...(data instanceof Uint8Array ? [data] : data)))
        const sizes = [1, 17, 483, 484, 485, 499, 500, 501, 4_095, 4_097, 65_519, 65_520, 200_000]
        const sent = sizes.map((size) => new Uint8Array(randomBytes(size)))
        for (const bytes of sent) from.send(bytes)
        const all = Buffer.concat(sent)
        await until(() => heard.reduce((sum, { length }) => sum + length, 0) >= all.length, 5_000, 'all came')
        assert.ok(Buffer.concat(heard).equals(all))
      }
    })

for (const size of [100, 10_000])
  test(`of ${size} bytes of which one was changed on the way nothing is read, and the connection ends`, async () => {
    let isSpoilt = false
    const [one, other] = await pair(fastNoise as Make, fastNoise as Make, (message) => {
      const at = message.length - 40
      if (isSpoilt) message[at] = (message[at] ?? 0) ^ 1
    })
    const heard: unknown[] = []
    other.addEventListener('message', ({ data }) => heard.push(data))
    let error: Error | undefined
    other.addEventListener('close', (event) => {
      error = event.error
    })
    isSpoilt = true
    one.send(new Uint8Array(randomBytes(size)))
    await until(() => other.status !== 'open', 5_000, 'it ends')
    assert.equal(heard, [])
    assert.ok(error instanceof Error)
  })

test.run()
