import * as assert from 'uvu/assert'
import { isError } from '../../node/errors.ts'
import { decodeInvite, encodeInvite } from '../../node/invite.ts'
import { checkOptions, type PeerOptions } from '../../node/options.ts'
import { suite } from '../helper/suite.ts'

const test = suite('options')

function refusal(options: unknown): { code: string; option: unknown; message: string } {
  try {
    checkOptions(options as PeerOptions)
  } catch (error) {
    if (isError(error)) return { code: error.code, option: Object.values(error.data)[0], message: error.message }
    throw error
  }
  throw new Error(`${JSON.stringify(options)} was accepted`)
}

test('the defaults are a peer in memory that only this machine can reach', () => {
  assert.equal(checkOptions(), {
    data: null,
    listen: ['/ip4/127.0.0.1/tcp/0'],
    join: [],
    names: [],
    mesh: '',
    keep: 3,
    carry: [],
    role: 'peer',
    discover: true,
    confirmTimeoutMs: 30_000,
    retention: {},
    tracing: false,
    logLevel: 'silent',
  })
  assert.equal(checkOptions({ listen: [] }).listen, [], 'a peer may listen nowhere')
})

const wrong: [options: unknown, option: string][] = [
  [{ data: 5 }, 'data'],
  [{ data: '' }, 'data'],
  [{ listen: '/ip4/127.0.0.1/tcp/0' }, 'listen'],
  [{ listen: ['localhost:4001'] }, 'listen'],
  [{ join: [7] }, 'join'],
  [{ join: ['nowhere'] }, 'join'],
  [{ join: ['gv1-xxxx'] }, 'join'],
  [{ mesh: '' }, 'mesh'],
  [{ open: 'yes' }, 'open'],
  [{ keep: -1 }, 'keep'],
  [{ keep: 1.5 }, 'keep'],
  [{ keep: 17 }, 'keep'],
  [{ carry: 'a' }, 'carry'],
  [{ role: 'boss' }, 'role'],
  [{ discover: 1 }, 'discover'],
  [{ confirmTimeoutMs: 0 }, 'confirmTimeoutMs'],
  [{ confirmTimeoutMs: Number.NaN }, 'confirmTimeoutMs'],
  [{ retention: { maxAgeMs: -5 } }, 'retention.maxAgeMs'],
  [{ retention: { maxBytes: 0.5 } }, 'retention.maxBytes'],
  [{ retention: { days: 5 } }, 'retention.days'],
  [{ logLevel: 'loud' }, 'logLevel'],
  [{ colour: 'green' }, 'colour'],
]
test('a wrong option is refused in a sentence that names it', () => {
  for (const [options, option] of wrong) {
    const { code, option: named, message } = refusal(options)
    assert.equal([code, named], ['InvalidOption', option], JSON.stringify(options))
    assert.match(message, `\`${option}\``)
  }
  assert.is(refusal({ carry: ['a b'] }).code, 'InvalidTopic')
})

test('listening beyond loopback asks for a secret, an invite or open', () => {
  const invite = encodeInvite({ addresses: ['/ip4/10.0.0.1/tcp/4001'], secret: 's' })
  for (const address of [
    '/ip4/0.0.0.0/tcp/0',
    '/ip4/192.168.1.5/tcp/4001',
    '/ip6/::/tcp/0',
    '/dns4/example.com/tcp/1',
  ]) {
    const listen = [address]
    const { code, option } = refusal({ listen })
    assert.equal([code, option], ['MeshOpen', address])
    checkOptions({ listen, open: true })
    checkOptions({ listen, mesh: 'secret' })
    checkOptions({ listen, join: [invite] })
  }
  checkOptions({ listen: ['/ip4/127.0.0.2/tcp/0', '/ip6/::1/tcp/0'] })
})

test('an invite brings addresses and secret, and no second secret beside it', () => {
  const invite = { addresses: ['/ip4/10.0.0.1/tcp/4001', '/ip4/10.0.0.2/tcp/4001'], secret: 'tell nobody: ä' }
  const text = encodeInvite(invite)
  assert.match(text, /^gv1-[\w-]+$/)
  assert.equal(decodeInvite(text), invite)
  assert.is(decodeInvite('/ip4/10.0.0.1/tcp/1'), undefined)
  const { join, mesh } = checkOptions({ join: [text, '/ip4/10.0.0.3/tcp/1'], mesh: invite.secret })
  assert.equal(join, [...invite.addresses, '/ip4/10.0.0.3/tcp/1'])
  assert.is(mesh, invite.secret)
  assert.is(refusal({ join: [text], mesh: 'other' }).option, 'join')
  assert.is(refusal({ join: [text.slice(0, -9)] }).option, 'join')
})

test.run()
