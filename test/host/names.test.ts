import * as assert from 'uvu/assert'
import { isError } from '../../node/errors.ts'
import { byName, meshNameOf } from '../../node/host/names.ts'
import { checkOptions } from '../../node/options.ts'
import type { PeerId } from '../../node/types.ts'
import { handClock } from '../helper/clock.ts'
import { suite } from '../helper/suite.ts'

const test = suite('host/names')

const turns = async () => {
  for (let i = 0; i < 5; i++) await new Promise<void>((resolve) => setImmediate(resolve))
}

test('whoever is at an address of the name is found, also when it comes later, and oneself is not', async () => {
  const clock = handClock()
  const [me, ann, ben] = ['me', 'ann', 'ben'] as PeerId[]
  const at: Record<string, PeerId> = { '/ip4/10.0.0.1/tcp/4001': me as PeerId, '/ip4/10.0.0.2/tcp/4001': ann as PeerId }
  let addresses: string[] | Error = new Error('no such name')
  const dialled: string[] = []
  const connected: PeerId[] = []
  const host = {
    id: me as PeerId,
    connected: () => connected,
    async dial(target: string) {
      dialled.push(target)
      const peer = at[target]
      if (peer === undefined) throw new Error('ECONNREFUSED')
      if (peer === me) throw new Error('Can not dial self')
      return peer
    },
  }
  const discovery = byName({ name: 'peers', port: 4_001 }, host, clock, async (name) => {
    assert.is(name, 'peers')
    if (addresses instanceof Error) throw addresses
    return addresses
  })
  const found: string[] = []
  discovery.onFound((peer, where) => found.push(`${peer} ${where}`))
  await discovery.start({ id: me as PeerId, addresses: [] })
  await turns()
  assert.equal(dialled, [], 'the name has no address yet')

  addresses = ['10.0.0.1', '10.0.0.2', '10.0.0.3', 'fd00::1']
  clock.pass(5_000)
  await turns()
  assert.equal(found.splice(0), ['ann /ip4/10.0.0.2/tcp/4001'])
  assert.equal(dialled.splice(0).length, 4)
  assert.ok(!dialled.includes('/ip6/fd00::1/tcp/4001'))
  connected.push(ann as PeerId)
  at['/ip6/fd00::1/tcp/4001'] = ben as PeerId
  clock.pass(5_000)
  await turns()
  assert.equal(found.splice(0), ['ben /ip6/fd00::1/tcp/4001'])
  assert.equal(
    dialled.splice(0),
    ['/ip4/10.0.0.3/tcp/4001', '/ip6/fd00::1/tcp/4001'],
    'nor is a friend dialled again, nor oneself',
  )
  connected.length = 0
  clock.pass(5_000)
  await turns()
  assert.equal(found.splice(0).length, 2, 'of who is not connected any more is told again')
  assert.equal(dialled.splice(0), ['/ip4/10.0.0.3/tcp/4001'], 'whether to dial is for others to say')
  clock.pass(60_000)
  await turns()
  assert.ok(dialled.includes('/ip4/10.0.0.2/tcp/4001'), 'after a while it may be somebody else')
  found.length = 0
  await discovery.stop()
  clock.pass(60_000)
  await turns()
  assert.is(found.length, 0)
})

test('names are read, and what is none is refused', () => {
  assert.equal(meshNameOf('dns:grapevine'), { name: 'grapevine', port: 4_001 })
  assert.equal(meshNameOf('dns:grapevine.queues.svc.cluster.local:4100'), {
    name: 'grapevine.queues.svc.cluster.local',
    port: 4_100,
  })
  for (const wrong of [
    'dns:',
    'dns:a b',
    'dns:-a',
    'dns:a..b',
    'dns:a:0',
    'dns:a:70000',
    'dns:a:b',
    `dns:${'a'.repeat(254)}`,
    'peers',
  ])
    assert.is(meshNameOf(wrong), undefined, wrong)
  assert.equal(checkOptions({ join: ['dns:peers', '/ip4/127.0.0.1/tcp/1'] }).names, [{ name: 'peers', port: 4_001 }])
  try {
    checkOptions({ join: ['dns:no way'] })
    assert.unreachable()
  } catch (error) {
    assert.ok(isError(error, 'InvalidOption') && error.data.option === 'join')
  }
})

test.run()
