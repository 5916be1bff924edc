/** Draws who publishes and reads what, when and how much. */
import type { PublisherPlan, ReaderPlan, WorkloadKind, WorkloadPlan } from '../plan.ts'
import { Rng } from '../world/random.ts'
import { drawGroups } from './draw-group.ts'
import { drawQueue } from './draw-queue.ts'
import { drawRequests } from './draw-request.ts'

interface Drawing {
  seed: number
  random: Rng
  names: string[]
  safetyMs: number
  plan: WorkloadPlan
}

const MiB = 1024 * 1024

export function drawWorkload(
  seed: number,
  kinds: readonly WorkloadKind[],
  names: string[],
  safetyMs: number,
): WorkloadPlan {
  const drawing: Drawing = {
    seed,
    random: new Rng(`${seed}/workload`),
    names,
    safetyMs,
    plan: { kinds: [...kinds], publishers: [], readers: [], hostile: [], amnesic: [] },
  }
  for (const kind of kinds) draw[kind](drawing)
  return drawing.plan
}

const draw: Record<WorkloadKind, (drawing: Drawing) => void> = {
  pubsub: (drawing) => {
    const { random, names } = drawing
    for (const topic of ['news', 'orders', 'ticks'].slice(0, random.int(1, 3))) {
      for (const peer of random.sample(names, random.int(1, 3)))
        publish(drawing, { peer, topic, everyMs: random.int(100, 1_500), bytesMax: random.pick([200, 2_000, 20_000]) })
      for (const peer of random.sample(names, random.int(1, names.length)))
        read(drawing, { peer, topic, from: random.pick(['earliest', 'latest'] as const) })
    }
  },
  bulk: (drawing) => {
    const { random, names, safetyMs } = drawing
    const fromMs = random.int(0, safetyMs >> 1)
    const untilMs = fromMs + (safetyMs >> 2)
    const burst = random.int(20, 200)
    publish(drawing, {
      peer: random.pick(names),
      topic: 'bulk',
      fromMs,
      untilMs,
      everyMs: random.int(5, 20),
      burst,
      bytesMax: 500,
    })
    for (const peer of random.sample(names, random.int(1, 3)))
      read(drawing, {
        peer,
        topic: 'bulk',
        from: 'earliest',
        ...(random.chance(0.3) ? { slowMs: random.int(50, 1_000) } : {}),
      })
  },
  durable: (drawing) => {
    const { random, names, safetyMs } = drawing
    const topic = 'durable'
    for (const peer of random.sample(names, random.int(1, 2)))
      publish(drawing, { peer, topic, everyMs: random.int(100, 1_000), bytesMax: 500 })
    for (const name of ['billing', 'audit'].slice(0, random.int(1, 2))) {
      // Read here for a while, then there, with a pause or an overlap between.
      let at = random.int(0, safetyMs >> 3)
      while (at < safetyMs) {
        const until = at + random.int(safetyMs >> 3, safetyMs >> 1)
        const last = until >= safetyMs
        read(drawing, {
          peer: random.pick(names),
          topic,
          name,
          from: 'earliest',
          startMs: at,
          ...(last ? {} : { endMs: until }),
          acks: random.pick([0.5, 0.9, 1]),
        })
        at = last ? safetyMs : Math.max(at + 1, until + random.int(-3_000, 5_000))
      }
    }
  },
  latecomer: (drawing) => {
    const { random, names, safetyMs, plan } = drawing
    const topic = plan.publishers[0]?.topic ?? 'news'
    for (const peer of random.sample(names, 2))
      read(drawing, { peer, topic, from: 'earliest', startMs: random.int(safetyMs >> 1, safetyMs) })
  },
  large: (drawing) => {
    const { random, names } = drawing
    const bytesMax = random.chance(0.15) ? 16 * MiB : 3 * MiB
    publish(drawing, {
      peer: random.pick(names),
      topic: 'large',
      everyMs: random.int(4_000, 15_000),
      bytesMin: 100_000,
      bytesMax,
    })
    for (const peer of random.sample(names, 2)) read(drawing, { peer, topic: 'large', from: 'earliest' })
  },
  hostile: ({ random, names, plan }) => {
    plan.hostile.push(random.pick(names))
  },
  amnesia: (drawing) => {
    const { random, names, plan } = drawing
    const peer = random.pick(names)
    plan.amnesic?.push(peer)
    publish(drawing, { peer, topic: 'news', everyMs: random.int(200, 2_000), bytesMax: random.pick([200, 5_000]) })
  },
  group: ({ seed, names, safetyMs, plan }) => {
    const { groups, publishers } = drawGroups(new Rng(`${seed}/groups`), names, safetyMs)
    plan.groups = [...(plan.groups ?? []), ...groups]
    plan.publishers.push(...publishers)
  },
  queue: (drawing) => queue(drawing, 'tasks'),
  fifo: (drawing) => queue(drawing, 'steps'),
  request: ({ seed, names, safetyMs, plan }) => {
    plan.requests = [drawRequests(new Rng(`${seed}/requests`), names, safetyMs)]
  },
}

/** That of `steps` is first in, first out. */
function queue({ seed, names, safetyMs, plan }: Drawing, topic: 'tasks' | 'steps'): void {
  const { queue, publishers } = drawQueue(new Rng(`${seed}/${topic}`), topic, names, safetyMs)
  plan.groups = [...(plan.groups ?? []), queue]
  plan.publishers.push(...publishers)
}

function publish(
  { random, safetyMs, plan }: Drawing,
  of: Pick<PublisherPlan, 'peer' | 'topic' | 'everyMs' | 'bytesMax'> & Partial<PublisherPlan>,
): void {
  const confirm = random.chance(0.8) ? 'auto' : random.int(0, 2)
  plan.publishers.push({ fromMs: random.int(0, 2_000), untilMs: safetyMs, burst: 1, bytesMin: 20, confirm, ...of })
}

function read({ random, plan }: Drawing, of: Omit<ReaderPlan, 'startMs'> & Partial<ReaderPlan>): void {
  const taken = plan.readers.some(
    (other) => other.peer === of.peer && other.topic === of.topic && other.name === of.name && of.name !== undefined,
  )
  // One reader of a name at a time on a peer: where two would meet, the later one is left out.
  if (!taken) plan.readers.push({ startMs: random.int(0, 3_000), ...of })
}
