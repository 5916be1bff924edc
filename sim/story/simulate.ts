/**
 * `simulate`: a user's own test in a simulated world. Real peers, in one process and in virtual time, under the faults the test
 * asks for. It owns the order of things around a story: queue, world, mesh, story, end.
 *
 * Promises: the same seed and story give the same run; a story that waits for ever rejects after `limitMs` of virtual time; the
 * globals (timers, `Date`, `Math.random`) are given back before it resolves or rejects, so that it fits any test runner.
 * Refuses: a simulation inside a simulation. Simulations that begin while one runs wait for their turn.
 */
import { AsyncLocalStorage } from 'node:async_hooks'
import type { PeerOptions } from '../../node/index.ts'
import type { LinkQuality } from '../world/network.ts'
import { World } from '../world/world.ts'
import { SimulatedWorld } from './world.ts'

/** One peer of a simulation: options of `createPeer`, and of the machine it runs on. */
export interface SimulatedPeerOptions
  extends Pick<PeerOptions, 'keep' | 'carry' | 'role' | 'retention' | 'confirmTimeoutMs'> {
  /** Default `p0`, `p1`, … */
  name?: string
  /** In memory only: a crash loses everything. */
  ephemeral?: boolean
  /** Its clock is ahead by so many ms (default 0) and gains so many in each 1,000 (default 0). */
  skewMs?: number
  driftPerMille?: number
}

export interface SimulateOptions<N extends number> {
  /** How many, or what each is like. Default 3. */
  peers?: N | readonly SimulatedPeerOptions[]
  /** Decides everything random; default 1. */
  seed?: number | string
  /** Of every link, one way: delay (5 ms), random addition to it (up to 20 ms), bandwidth (10 MB/s). */
  network?: Partial<LinkQuality>
  /** Virtual time that the story may take, ms. Default 600,000. */
  limitMs?: number
}

let last: Promise<unknown> = Promise.resolve()
const inside = new AsyncLocalStorage<true>()

/**
 * Runs `story` in a world of started peers that have found each other; resolves with what it returns and rejects as it does.
 *
 * The story must wait for nothing but the world and its peers: while it runs, timers and `Date` are virtual in the whole process.
 */
export function simulate<R, const N extends number = 3>(
  options: SimulateOptions<N>,
  story: (world: SimulatedWorld<N>) => Promise<R>,
): Promise<R> {
  if (inside.getStore())
    return Promise.reject(new Error('a simulation cannot begin inside another: end that one first'))
  const turn = last.then(() => inside.run(true, () => runStory(options, story)))
  last = turn.catch(() => undefined)
  return turn
}

async function runStory<R, N extends number>(
  { peers = 3 as N, seed = 1, network = {}, limitMs = 600_000 }: SimulateOptions<N>,
  story: (world: SimulatedWorld<N>) => Promise<R>,
): Promise<R> {
  const wished = typeof peers === 'number' ? Array.from({ length: peers }, () => ({})) : peers
  if (wished.length < 1) throw new RangeError('a simulation takes at least one peer')
  const world = new World({ seed, quality: network })
  return world.run(async () => {
    const { promise: failed, reject: fail } = Promise.withResolvers<never>()
    const tooLong = () =>
      fail(
        new Error(
          `the story has not ended within ${limitMs / 1000} virtual seconds: it waits for what does not come, or needs a larger \`limitMs\``,
        ),
      )
    const simulated = new SimulatedWorld<N>(world, { fail })
    const limit = world.time.set(tooLong, limitMs)
    const telling = (async () => {
      for (const options of wished) await simulated.addPeer(options)
      await simulated.connected()
      return story(simulated)
    })()
    try {
      return await Promise.race([telling, failed])
    } finally {
      world.time.clear(limit)
    }
  })
}
