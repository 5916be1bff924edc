/** Draws consumer groups, who takes part in them, and what they have to work on. */
import type { ConsumerPlan, GroupPlan, PublisherPlan } from '../plan.ts'
import type { Rng } from '../world/random.ts'

const topic = 'jobs'
/** `key-shared` promises most, so it comes most often. */
const types = ['shared', 'key-shared', 'key-shared', 'failover', 'exclusive'] as const

export function drawGroups(
  random: Rng,
  names: readonly string[],
  safetyMs: number,
): { groups: GroupPlan[]; publishers: PublisherPlan[] } {
  const groups = ['work', 'audit'].slice(0, random.chance(0.8) ? 1 : 2).map((name): GroupPlan => {
    const poison = random.chance(0.4) ? random.int(60, 200) : undefined
    const peers = random.sample(names, random.int(2, Math.min(6, names.length)))
    return {
      topic,
      name,
      type: random.pick(types),
      leaseMs: random.pick([1_000, 2_000, 5_000, 5_000, 8_000]),
      maxReceives: random.pick([2, 3, 5, 5, 20]),
      quorum: random.chance(0.45),
      from: random.chance(0.85) ? 'earliest' : 'latest',
      consumers: peers.map((peer) => drawConsumer(random, peer, safetyMs, poison)),
    }
  })
  const keys = random.pick([undefined, 1, 5, 30, 30])
  // One record at a time, each with two trips over the network: there must be an end to it.
  const oneAtATime = keys === 1 || groups.some(({ type }) => type === 'failover' || type === 'exclusive')
  const publishers = random.sample(names, random.int(1, 3)).map(
    (peer): PublisherPlan => ({
      peer,
      topic,
      fromMs: random.int(0, 3_000),
      untilMs: safetyMs,
      everyMs: oneAtATime ? random.int(600, 2_000) : random.int(150, 1_000),
      burst: random.pick([1, 1, 5]),
      bytesMin: 20,
      bytesMax: 500,
      confirm: random.chance(0.8) ? 'auto' : random.int(0, 2),
      ...(keys === undefined ? {} : { keys }),
    }),
  )
  return { groups, publishers }
}

/** Most do nothing odd; the others seldom, so that what goes wrong can be told from what they do. */
export function drawConsumer(random: Rng, peer: string, safetyMs: number, poison: number | undefined): ConsumerPlan {
  const share = () => (random.chance(0.3) ? 0.1 * random.float() : 0)
  const comesAndGoes = random.chance(0.35)
  return {
    peer,
    startMs: random.chance(0.8) ? random.int(0, 3_000) : random.int(0, safetyMs >> 1),
    concurrency: random.pick([1, 2, 8, 32]),
    ...(random.chance(0.25) ? { oneByOne: true } : {}),
    workMs: random.pick([5, 30, 200, 1_000]),
    nacks: share(),
    hangs: share() / 4,
    extends: share() / 4,
    ...(poison === undefined ? {} : { poison }),
    drains: comesAndGoes
      ? Array.from({ length: random.int(1, 3) }, () => random.int(safetyMs >> 3, safetyMs)).sort((a, b) => a - b)
      : [],
    awayMs: random.int(100, 10_000),
  }
}
