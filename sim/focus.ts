/**
 * Bears on one thing: what a run draws for all seldom comes near it, since it needs several things at once, or times that fit each other. Such runs show
 * little else, so they come besides the others.
 *
 * - `lease`: members pause for about a lease, or for so long that their connections are lost, while consumers work for about a lease.
 * - `vote`: groups with a quorum on meshes that are cut in two for longer than a silent voter is kept, while members come.
 * - `damage`: bits flip in the logs of one member while it is down, and nothing that was said is summed up soon.
 * - `loan`: records of a queue are worked on for long by whoever borrowed them, or expire within moments by clocks that agree, while members die and links
 *   are slow.
 */
import type { ConsumerPlan, FaultEvent, Focus, GroupPlan, Plan } from './plan.ts'
import { Rng } from './world/random.ts'

/** The plan with what matters to the focus drawn anew. */
export function focusOn(focus: Focus, plan: Plan): Plan {
  return sharpen[focus](structuredClone(plan), new Rng(`${plan.seed}/${focus}`))
}

const sharpen: Record<Focus, (plan: Plan, random: Rng) => Plan> = {
  lease(plan, random) {
    const [group] = groupsOf(plan)
    const { leaseMs = 1_000 } = group ?? {}
    const members = membersOf(plan)
    for (const consumer of consumersOf(plan))
      if (random.chance(0.5)) consumer.workMs = random.int(leaseMs >> 2, leaseMs)
    const events = times(random, plan, 4, 12).map((at): FaultEvent => {
      const peer = random.pick(members)
      const long = random.chance(0.25)
      const forMs = long ? random.int(10_000, 20_000) : Math.round(leaseMs * (0.3 + random.float()))
      return { kind: random.chance(0.85) ? 'pause' : 'kill', at, forMs: Math.min(forMs, plan.safetyMs - at), peer }
    })
    return { ...plan, timeline: events }
  },
  vote(plan, random) {
    const voterMs = random.pick([4_000, 8_000])
    for (const group of groupsOf(plan)) {
      group.quorum = true
      group.leaseMs = random.pick([1_000, 2_000])
    }
    for (const consumer of consumersOf(plan))
      if (random.chance(0.4)) consumer.startMs = random.int(0, plan.safetyMs >> 1)
    const names = plan.peers.map(({ name }) => name)
    const events = times(random, plan, 1, 3).map((at): FaultEvent => {
      const a = random.sample(names, random.int(1, names.length - 1))
      const b = names.filter((name) => !a.includes(name))
      const forMs = Math.min(plan.safetyMs - at, random.int(voterMs, 4 * voterMs))
      return { kind: 'partition', shape: 'halves', at, forMs, a, b }
    })
    const kills = times(random, plan, 0, 3).map(
      (at): FaultEvent => ({ kind: 'kill', at, forMs: random.int(500, voterMs), peer: random.pick(names) }),
    )
    const strain = { ...plan.strain, bounds: { ...plan.strain?.bounds, groupVoterMs: voterMs } }
    return { ...plan, strain, timeline: [...events, ...kills].sort((a, b) => a.at - b.at) }
  },
  damage(plan, random) {
    const { strain: _, ...rest } = plan
    const peer = random.pick(membersOf(plan))
    const events = times(random, plan, 3, 8).map(
      (at): FaultEvent => ({ kind: 'bitflip', at, forMs: random.int(300, 3_000), peer, bits: random.int(1, 4) }),
    )
    return { ...rest, timeline: events }
  },
  loan(plan, random) {
    for (const peer of plan.peers) Object.assign(peer, { skewMs: 0, driftPerMille: 0 })
    for (const group of groupsOf(plan)) group.visibilityMs = random.pick([8_000, 20_000])
    for (const consumer of consumersOf(plan)) if (random.chance(0.5)) consumer.workMs = random.int(2_000, 7_000)
    for (const { asks } of plan.workload.publishers) {
      if (asks === undefined) continue
      asks.expiring = random.pick([0, 0.5])
      asks.expiresMsMax = random.pick([100, 300, 1_000])
    }
    const events = times(random, plan, 1, 5).map(
      (at): FaultEvent => ({ kind: 'kill', at, forMs: random.int(500, 10_000), peer: random.pick(membersOf(plan)) }),
    )
    if (random.chance(0.5)) {
      const names = plan.peers.map(({ name }) => name)
      const quality = { delayMs: random.int(150, 500), jitterMs: 0, bytesPerSecond: 1_000_000 }
      // Those who cannot meet when a group begins are two groups, whatever it asks for.
      const at = Math.min(15_000, plan.safetyMs)
      events.push({ kind: 'delay', at, forMs: plan.safetyMs - at, from: names, to: names, quality })
    }
    return { ...plan, timeline: events.sort((a, b) => a.at - b.at) }
  },
}

function groupsOf({ workload }: Plan): GroupPlan[] {
  return workload.groups ?? []
}

function consumersOf(plan: Plan): ConsumerPlan[] {
  return groupsOf(plan).flatMap(({ consumers }) => consumers)
}

function membersOf(plan: Plan): string[] {
  return [...new Set(consumersOf(plan).map(({ peer }) => peer))]
}

/** When something happens, ascending. */
function times(random: Rng, { safetyMs }: Plan, least: number, most: number): number[] {
  const drawn = Array.from({ length: random.int(least, most) }, () =>
    Math.round(safetyMs * (0.3 + 0.6 * random.float())),
  )
  return drawn.sort((a, b) => a - b)
}
