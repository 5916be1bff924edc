/**
 * What may stand in a scenario file. Peers are named by group: `shop` is all of a group of that name, `shop-2` its third, `all`
 * everyone; a list joins several. Times are since the start of the run.
 */
import { z } from 'zod'
import { anyDuration, bandwidth, comparison, duration, size, sizeRange } from './measure.ts'

const groupTypes = ['shared', 'key-shared', 'exclusive', 'failover'] as const

const says = (error: string) => ({ error })
const whole = (least: number, most: number) => {
  const error = `takes a whole number from ${least} to ${most}`
  return z.int(says(error)).min(least, says(error)).max(most, says(error))
}

const name = z
  .string(says('takes a name'))
  .regex(/^[a-z][a-z0-9]*$/, says('takes a name of small letters and digits, as `left`'))
const topic = z.string(says('takes the name of a topic')).min(1, says('takes the name of a topic'))
const ref = z.string(says('takes a group, one of its peers as `left-0`, or `all`'))
const refs = z.union(
  [ref, z.array(ref).min(1)],
  says('takes a group, one of its peers as `left-0`, `all`, or a list of these'),
)

const link = { delay: duration.optional(), jitter: duration.optional(), bandwidth: bandwidth.optional() }

const peers = z.strictObject({
  count: whole(1, 1_000),
  ephemeral: z.boolean(says('takes true or false')).optional(),
  guest: z.boolean(says('takes true or false')).optional(),
  skew: anyDuration.optional(),
  drift: z.number(says('takes ms a second')).min(-900).max(900).optional(),
})

const shareText = 'takes a share from 0 to 1'
const share = z.number(says(shareText)).min(0, says(shareText)).max(1, says(shareText))

const publish = z.strictObject({
  by: refs,
  topic,
  every: duration.pipe(z.number().positive(says('takes a time above 0'))),
  burst: whole(1, 10_000).default(1),
  bytes: sizeRange.default({ min: 100, max: 100 }),
  confirm: z
    .union([whole(0, 16), z.literal('auto')], says("takes a number of copies from 0 to 16, or 'auto'"))
    .default('auto'),
  from: duration.default(1_000),
  until: duration.optional(),
  count: whole(1, 1_000_000).optional(),
  keys: whole(1, 10_000).optional(),
})

const read = z.strictObject({
  by: refs,
  topic,
  from: z.enum(['earliest', 'latest'], says("takes 'earliest' or 'latest'")).default('earliest'),
  name: z.string(says('takes a name')).optional(),
  acks: share.optional(),
  slow: duration.optional(),
  start: duration.default(1_000),
  end: duration.optional(),
})

/** Who works on a topic together; what is odd about them ends with the faults. */
const group = z.strictObject({
  by: refs,
  topic,
  name: z
    .string(says('takes a name'))
    .regex(/^[A-Za-z0-9_-]{1,100}$/, says('takes a name of letters, digits, _ and -')),
  type: z.enum(groupTypes, says(`takes one of ${groupTypes.join(', ')}`)).default('shared'),
  from: z.enum(['earliest', 'latest'], says("takes 'earliest' or 'latest'")).default('earliest'),
  lease: duration.pipe(z.number().min(1_000, says('takes a time from 1s'))).default(5_000),
  receives: whole(1, 1_000).default(5),
  quorum: z.boolean(says('takes true or false')).default(false),
  concurrency: whole(1, 1_000).default(8),
  work: duration.default(20),
  nacks: share.default(0),
  hangs: share.default(0),
  extends: share.default(0),
  poison: whole(1, 1_000_000).optional(),
  start: duration.default(1_000),
  drains: z.array(duration, says('takes a list of times')).default([]),
  away: duration.default(2_000),
})

const sides = z.tuple([refs, refs], says('takes two sides, as [left, right]'))

/** What can happen; each entry of the timeline has one of these. */
export const faults = {
  partition: z.union(
    [sides, z.strictObject({ from: refs, to: refs }), z.strictObject({ ring: refs })],
    says('takes two sides as [left, right], { from, to } for one direction, or { ring }'),
  ),
  reset: sides,
  halfopen: sides,
  delay: z.strictObject({ from: refs, to: refs, ...link }),
  pause: refs,
  kill: refs,
  power: refs,
  wipe: refs,
  rollback: z.strictObject({ peer: refs, age: duration }),
  skew: z.strictObject({ peer: refs, by: anyDuration }),
  bitflip: z.strictObject({ peer: refs, bits: whole(1, 10_000).default(1) }),
  truncate: z.strictObject({ peer: refs, bytes: size, files: whole(1, 100).default(1) }),
  slowdisk: z.strictObject({ peer: refs, operation: duration.default(1), sync: duration }),
  fulldisk: z.strictObject({ peer: refs, spare: size.default(0) }),
  churn: z.strictObject({ peers: refs, every: duration, down: duration }),
}

const optional = Object.fromEntries(Object.entries(faults).map(([kind, shape]) => [kind, shape.optional()])) as {
  [K in keyof typeof faults]: z.ZodOptional<(typeof faults)[K]>
}
export type FaultName = keyof typeof faults

const event = z
  .strictObject({
    at: duration,
    for: duration.default(0),
    /** Between one peer and the next, where there are several. */
    stagger: duration.default(0),
    ...optional,
  })
  .refine((entry) => kindsIn(entry).length === 1, says(`takes one of ${Object.keys(faults).join(', ')}`))

export const expectable = [
  'published',
  'confirmed',
  'delivered',
  'lost',
  'duplicated',
  'outOfOrder',
  'repaired',
  'copies',
  'deliveryP50',
  'deliveryP99',
  'deliveryMax',
  'hopsMax',
  'acked',
  'redelivered',
  'dead',
  'takeoverMax',
] as const
export type Expectable = (typeof expectable)[number]

export const scenarioShape = z.strictObject({
  about: z.string(says('takes a sentence')).optional(),
  seed: whole(0, 2 ** 31).default(1),
  /** Faults happen and applications publish. */
  lasts: duration.default(60_000),
  /** After that, by when everything promised must hold. */
  settles: duration.default(120_000),
  network: z.strictObject(link).default({}),
  peers: z.record(
    name,
    z.union([whole(1, 1_000), peers], says('takes a number of peers, or { count, … }')),
    says('takes groups of peers, as `left: 3`'),
  ),
  publish: z.array(publish, says('takes a list')).default([]),
  read: z.array(read, says('takes a list')).default([]),
  groups: z
    .array(group, says('takes a list'))
    .refine(
      (groups) => new Set(groups.map(({ topic, name }) => `${topic}/${name}`)).size === groups.length,
      says('names a group twice: its members stand in one entry, since they share its settings'),
    )
    .default([]),
  /** Peers that send other bytes than they should. */
  hostile: refs.optional(),
  /** Peers whose clock and randomness begin anew at each start. */
  amnesic: refs.optional(),
  /** On how many carriers of each topic a fresh reader reads everything in the end. */
  freshReaders: whole(1, 1_000).optional(),
  timeline: z.array(event, says('takes a list of faults')).default([]),
  expect: z.partialRecord(z.enum(expectable), comparison).default({}),
})

export type ScenarioText = z.output<typeof scenarioShape>
export type TimelineEntry = z.output<typeof event>

export function kindsIn(entry: Partial<Record<FaultName, unknown>>): FaultName[] {
  return (Object.keys(faults) as FaultName[]).filter((kind) => entry[kind] !== undefined)
}
