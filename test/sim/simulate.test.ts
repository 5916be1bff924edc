/** What a user's own test gets from `simulate`. */
import * as assert from 'uvu/assert'
import { isError } from '../../node/index.ts'
import { ProcessDied, simulate } from '../../sim/index.ts'
import { suite } from '../helper/suite.ts'

const test = suite('sim')

async function rejection(promise: Promise<unknown>): Promise<Error> {
  return promise.then(
    () => assert.unreachable('it resolved'),
    (error) => error,
  )
}

test('peers are started, connected and pass records to each other', () =>
  simulate({ peers: 4 }, async (world) => {
    const [a, , , d] = world.peers
    const receipt = await a.publish('orders', { id: 1 }, { confirm: 2 })
    assert.ok(receipt.copies >= 2)
    const [record] = await d.read<{ id: number }>('orders')
    assert.equal(record?.value, { id: 1 })
    assert.is(record?.publisher, a.id)
  }))

test('the same seed gives the same run, another seed another', async () => {
  const story = (seed: number) =>
    simulate({ peers: 3, seed }, async (world) => {
      const [a, b] = world.peers
      await world.partition([a])
      await a.publish('t', Math.random(), { confirm: 0 })
      await b.publish('t', 2, { confirm: 0 })
      await world.heal()
      await world.converged()
      return `${world.now} ${world.random()} ${a.id} ${(await b.read('t')).map(({ id, value }) => `${id} ${value}`)}`
    })
  const [once, again, other] = [await story(5), await story(5), await story(6)]
  assert.is(once, again)
  assert.is.not(once, other)
})

test('nothing crosses a partition until it heals', () =>
  simulate({ peers: 5, seed: 2 }, async (world) => {
    const [a, b, c, d] = world.peers
    await world.partition([a, b], [c])
    await a.publish('t', 'from a', { confirm: 1 })
    await world.sleep(20_000)
    const seen = async (peer: typeof a) => (await peer.read('t')).length
    assert.equal([await seen(b), await seen(c), await seen(d)], [1, 0, 0])
    await world.heal()
    await world.until(async () => (await seen(c)) + (await seen(d)) === 2)
  }))

test('a crashed peer answers nothing, and goes on where it was when it is restarted', () =>
  simulate({ peers: 3 }, async (world) => {
    const [a, b] = world.peers
    const { id } = b
    let begun = 0
    b.run(async (peer) => {
      begun++
      for await (const _ of peer.topic('t').subscribe({ name: 'reader' }));
    })
    await a.publish('t', 1)
    const waiting = rejection(b.topic('t').subscribe()[Symbol.asyncIterator]().next())
    await b.crash()
    assert.instance(await waiting, ProcessDied)
    assert.instance(await rejection(b.status()), ProcessDied)
    assert.throws(() => b.topic('t'), /is not running/)
    await b.restart()
    assert.is(b.id, id)
    assert.is(begun, 2)
    assert.is((await b.read('t')).length, 1)
  }))

test('a power cut takes no confirmed record, and an empty disk makes a new peer that gets it again', () =>
  simulate({ peers: 3 }, async (world) => {
    const [a, b] = world.peers
    await b.publish('t', 'kept', { confirm: 2 })
    await b.crash('power')
    await b.restart()
    assert.equal((await b.read('t')).length, 1)
    const { id } = b
    await b.wipe()
    await b.restart()
    assert.is.not(b.id, id)
    await world.until(async () => (await b.read('t')).length === 1)
    assert.is((await a.read('t')).length, 1)
  }))

test('a paused peer does nothing until it is resumed', () =>
  simulate({ peers: 3 }, async (world) => {
    const [a, b] = world.peers
    const got: unknown[] = []
    b.run(async (peer) => {
      for await (const { value } of peer.topic('t').subscribe({ from: 'earliest' })) got.push(value)
    })
    await world.sleep(1_000)
    await b.pause()
    await a.publish('t', 1, { confirm: 0 })
    await world.sleep(10_000)
    assert.equal(got, [])
    await b.resume()
    await world.until(() => got.length === 1)
  }))

test('a cut of one link is no partition: records take the way round', () =>
  simulate({ peers: 3 }, async (world) => {
    const [a, b, c] = world.peers
    await world.cut(a, b)
    await world.link(a, c, { delayMs: 200 })
    await a.publish('t', 1, { confirm: 1 })
    await world.until(async () => (await b.read('t')).length === 1)
  }))

test('a full disk and a flipped bit are told', () =>
  simulate({ peers: 3 }, async (world) => {
    const [a] = world.peers
    await a.publish('t', 'x'.repeat(10_000), { confirm: 2 })
    await a.fillDisk()
    const full = await rejection(a.publish('t', 'y'.repeat(10_000)))
    assert.ok(isError(full) && full.code === 'StorageFull', String(full))
    await a.freeDisk()
    await a.crash()
    assert.ok(await a.corrupt())
    await a.restart()
    await world.until(() => a.history.some(({ type }) => type === 'damage-found'))
    await world.until(async () => (await a.read('t')).length === 1)
  }))

test('what fails in the story or in a program fails the simulation, and the globals are given back', async () => {
  const { setTimeout: timeout, Date: date } = globalThis
  const random = Math.random
  const failing = simulate({ peers: 1 }, async () => {
    assert.is.not(globalThis.Date, date)
    throw new RangeError('of the story')
  })
  assert.is((await rejection(failing)).message, 'of the story')
  const program = simulate({ peers: 2 }, async (world) => {
    world.peers[1].run(async () => {
      throw new RangeError('of a program')
    })
    await world.sleep(1_000)
  })
  assert.is((await rejection(program)).message, 'of a program')
  assert.is(globalThis.setTimeout, timeout)
  assert.is(globalThis.Date, date)
  assert.is(Math.random, random)
})

test('a story that waits for ever is ended, in virtual time', async () => {
  const forever = simulate({ peers: 2, limitMs: 60_000 }, (world) => world.peers[0].read('t', { idleMs: 1e9 }))
  assert.match((await rejection(forever)).message, 'not ended within 60 virtual seconds')
})

test('simulations take turns, and none begins inside another', async () => {
  const times = await Promise.all([1, 2, 3].map((seed) => simulate({ peers: 1, seed }, async (world) => world.now)))
  assert.is(times.length, 3)
  const nested = simulate({ peers: 1 }, () => simulate({ peers: 1 }, async () => undefined))
  assert.match((await rejection(nested)).message, 'inside another')
})

test.run()
