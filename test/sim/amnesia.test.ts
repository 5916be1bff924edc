import { generateKeyPairSync, sign, verify } from 'node:crypto'
import * as assert from 'uvu/assert'
import { World } from '../../sim/world/world.ts'
import { suite } from '../helper/suite.ts'

const test = suite('sim')

test('a peer that forgets begins each time with the same identity and the same feed; others begin another', async () => {
  const world = new World({ seed: 3 })
  await world.run(async () => {
    const begin = async (amnesic: boolean) => {
      const simPeer = world.peers.find(({ options }) => options.amnesic === amnesic) ?? world.addPeer({ amnesic })
      const peer = await simPeer.start()
      const { feed } = await simPeer.within(() => peer.topic('t').publish('x', { confirm: 0 }))
      const { id } = peer
      simPeer.crash('killed')
      simPeer.wipe()
      await world.sleep(30_000)
      return [id, feed]
    }
    assert.equal(await begin(true), await begin(true))
    const [first, second] = [await begin(false), await begin(false)]
    assert.not.equal(first[0], second[0])
    assert.not.equal(first[1], second[1])
  })
})

test('what a world remembers of a signature holds for these bytes and this key alone, and ends with it', async () => {
  const real = verify
  const [one, other] = [generateKeyPairSync('ed25519'), generateKeyPairSync('ed25519')]
  const data = Buffer.from('a head')
  const signature = sign(null, data, one.privateKey)
  const changed = (bytes: Buffer) => Buffer.from(bytes.map((byte, at) => (at === 3 ? byte ^ 1 : byte)))
  await new World({ seed: 1 }).run(async () => {
    for (let i = 0; i < 2; i++) {
      assert.is(verify(null, data, one.publicKey, signature), true)
      assert.is(verify(null, changed(data), one.publicKey, signature), false)
      assert.is(verify(null, data, one.publicKey, changed(signature)), false)
      assert.is(verify(null, data, other.publicKey, signature), false)
    }
  })
  assert.is(verify, real)
})

test.run()
