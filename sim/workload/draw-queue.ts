/** Draws a queue, who sends to it what, and who works on that. */
import type { AsksPlan, ConsumerPlan, GroupPlan, PublisherPlan } from '../plan.ts'
import type { Rng } from '../world/random.ts'
import { drawConsumer } from './draw-group.ts'

/** What a queue's group is called. */
const name = '_queue'
const leaseMs = 5_000

export function drawQueue(
  random: Rng,
  topic: string,
  names: readonly string[],
  safetyMs: number,
): { queue: GroupPlan; publishers: PublisherPlan[] } {
  const fifo = topic === 'steps'
  const poison = random.chance(0.3) ? random.int(40, 150) : undefined
  const workers = random.sample(names, random.int(2, Math.min(5, names.length)))
  const queue: GroupPlan = {
    topic,
    name,
    type: fifo ? 'key-shared' : 'shared',
    leaseMs,
    visibilityMs: random.pick([1_000, 3_000, 8_000, 20_000]),
    maxReceives: random.pick([2, 3, 5, 5, 20]),
    quorum: random.chance(0.3),
    from: 'earliest',
    consumers: workers.map((peer) => drawWorker(random, peer, safetyMs, poison)),
  }
  const asks: AsksPlan = {
    delayed: random.pick([0, 0.1, 0.3]),
    delayMsMax: random.pick([1_000, 10_000]),
    expiring: random.pick([0, 0.1, 0.3]),
    expiresMsMax: random.pick([1_000, 20_000]),
    prioritised: random.pick([0, 0.5]),
    repeated: random.pick([0, 0.2, 0.5]),
    repeatedWithin: random.pick([5, 30]),
  }
  const keys = random.pick([1, 5, 20])
  // Each record costs something at every peer.
  const slower = Math.max(1, names.length / 6)
  const publishers = random.sample(names, random.int(1, 3)).map(
    (peer): PublisherPlan => ({
      peer,
      topic,
      fromMs: random.int(0, 3_000),
      untilMs: safetyMs,
      everyMs: Math.round(slower * (fifo && keys === 1 ? random.int(1_000, 2_500) : random.int(300, 1_500))),
      burst: random.pick([1, 1, 5]),
      bytesMin: 20,
      bytesMax: 500,
      confirm: random.chance(0.8) ? 'auto' : random.int(0, 2),
      asks,
      ...(fifo ? { keys } : {}),
    }),
  )
  return { queue, publishers }
}

/** As in a group; most of them poll, and more of them take long, since what they borrowed is theirs meanwhile, whoever dies. */
function drawWorker(random: Rng, peer: string, safetyMs: number, poison: number | undefined): ConsumerPlan {
  const { oneByOne, ...drawn } = drawConsumer(random, peer, safetyMs, poison)
  const consumer = { ...drawn, hangs: 4 * drawn.hangs, extends: 8 * drawn.extends }
  if (random.chance(0.35)) return { ...consumer, ...(oneByOne === undefined ? {} : { oneByOne }) }
  return { ...consumer, receive: { max: random.pick([1, 1, 3, 10]), waitMs: random.pick([50, 500, 2_000, 20_000]) } }
}
