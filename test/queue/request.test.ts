/** Requests between simulated peers. */
import * as assert from 'uvu/assert'
import { simulate } from '../../sim/index.ts'
import { refusal } from '../helper/refusal.ts'
import { suite } from '../helper/suite.ts'

const test = suite('request')

test('a request is answered by one of those who respond, errors are told, and nobody there is told at once', () =>
  simulate({ peers: 4 }, async (world) => {
    const [asker, a, b] = world.peers
    await world.sleep(3_000)
    const before = world.now
    const nobody = await refusal(asker.request('double', 1))
    assert.is(nobody.code, 'NoResponders')
    assert.ok(world.now - before < 4_000, `${world.now - before} ms`)
    const again = world.now
    assert.is((await refusal(asker.request('double', 1))).code, 'NoResponders')
    assert.ok(world.now - again < 50, 'known by then')

    const by = new Map<string, number>()
    for (const one of [a, b])
      one.run((peer) => {
        peer.topic<number>('double').respond(async (value, { headers, attempt }) => {
          by.set(one.name, (by.get(one.name) ?? 0) + 1)
          if (value < 0) throw new Error('it is negative')
          return { double: 2 * value, of: headers.from ?? null, attempt }
        })
      })
    await world.sleep(6_000)
    const started = world.now
    const answer = await asker.request('double', 21, { headers: { from: 'me' } })
    assert.equal(answer, { double: 42, of: 'me', attempt: 1 })
    assert.ok(world.now - started < 1_000, `${world.now - started} ms`)
    const answers = await Promise.all(
      Array.from({ length: 60 }, (_, i) => asker.request<{ double: number }>('double', i)),
    )
    assert.equal(
      answers.map(({ double }) => double),
      Array.from({ length: 60 }, (_, i) => 2 * i),
    )
    assert.ok((by.get(a.name) ?? 0) > 10 && (by.get(b.name) ?? 0) > 10, 'both have worked')
    const failed = await refusal(asker.request('double', -1))
    assert.equal([failed.code, (failed.data as { reason: string }).reason], ['RequestFailed', 'it is negative'])
    assert.is((await refusal(asker.request('no good', 1))).code, 'InvalidTopic')
    assert.is((await refusal(asker.request('double', 1, { timeoutMs: 0 }))).code, 'InvalidOption')
  }))

test('a request that nobody answers in time is over, for its asker and for the responders', () =>
  simulate({ peers: 2 }, async (world) => {
    const [asker, a] = world.peers
    let asked = 0
    a.run((peer) => {
      peer.topic('slow').respond(
        async () => {
          asked++
          await world.sleep(10_000)
        },
        { concurrency: 1 },
      )
    })
    await world.sleep(6_000)
    const both = await Promise.all([1, 2].map((value) => refusal(asker.request('slow', value, { timeoutMs: 2_000 }))))
    assert.equal(
      both.map(({ code }) => code),
      ['RequestTimeout', 'RequestTimeout'],
    )
    await world.sleep(20_000)
    assert.is(asked, 1, 'the second was over before its turn came')
  }))

test('a request is over in its time, although the clock is set back before it is known who responds', () =>
  simulate({ peers: 2 }, async (world) => {
    const [asker, a] = world.peers
    a.run((peer) => {
      peer.topic('slow').respond(() => world.sleep(20_000))
    })
    await world.sleep(6_000)
    const before = world.now
    const asking = refusal(asker.request('slow', 1, { timeoutMs: 2_000 }))
    await world.sleep(20)
    await asker.setClock(-30_000)
    assert.is((await asking).code, 'RequestTimeout')
    assert.ok(world.now - before < 2_100, `${world.now - before} ms`)
  }))

test('when a responder dies in the middle, another answers', () =>
  simulate({ peers: 3, seed: 3 }, async (world) => {
    const [asker, a, b] = world.peers
    for (const one of [a, b])
      one.run((peer) => {
        peer.topic<number>('work').respond(async (value, { attempt }) => {
          await world.sleep(3_000)
          return [one.name, value, attempt]
        })
      })
    await world.sleep(8_000)
    const asking = Promise.all(
      Array.from({ length: 12 }, (_, i) => asker.request<[string, number, number]>('work', i, { timeoutMs: 40_000 })),
    )
    await world.sleep(1_500)
    await a.crash()
    const answers = await asking
    assert.ok(answers.every(([name]) => name === b.name))
    assert.ok(answers.some(([, , attempt]) => attempt === 2))
  }))

test.run()
