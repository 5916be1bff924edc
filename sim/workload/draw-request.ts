/** Draws who asks, and who answers. */
import type { AskerPlan, RequestPlan, ResponderPlan } from '../plan.ts'
import type { Rng } from '../world/random.ts'

export function drawRequests(random: Rng, names: readonly string[], safetyMs: number): RequestPlan {
  // They may be on one peer.
  const responders = random.sample(names, random.int(1, Math.min(4, names.length)))
  const askers = random.sample(names, random.int(1, Math.min(4, names.length)))
  return {
    topic: 'square',
    responders: responders.map((peer) => drawResponder(random, peer, safetyMs)),
    askers: askers.map((peer) => drawAsker(random, peer, Math.max(1, names.length / 6))),
  }
}

function drawResponder(random: Rng, peer: string, safetyMs: number): ResponderPlan {
  const comesAndGoes = random.chance(0.4)
  return {
    peer,
    startMs: random.chance(0.8) ? random.int(0, 2_000) : random.int(0, safetyMs >> 1),
    concurrency: random.pick([1, 4, 16]),
    // The longest are longer than a lease.
    workMs: random.pick([1, 20, 200, 1_000, 6_000]),
    fails: random.chance(0.4) ? 0.2 * random.float() : 0,
    closes: comesAndGoes
      ? Array.from({ length: random.int(1, 3) }, () => random.int(safetyMs >> 3, safetyMs)).sort((a, b) => a - b)
      : [],
    awayMs: random.int(100, 15_000),
  }
}

/** The more peers, the slower: each request costs something at every one. */
function drawAsker(random: Rng, peer: string, slower: number): AskerPlan {
  return {
    peer,
    startMs: random.int(0, 5_000),
    everyMs: Math.round(slower * random.int(300, 3_000)),
    timeoutMs: random.pick([500, 2_000, 5_000, 15_000]),
  }
}
