/** How a group is set up: what its options mean, and when two are the same. All members of a group share its settings. */
import { z } from 'zod'
import { GrapevineError } from '../errors.ts'
import { limits } from '../limits.ts'
import type { GroupOptions, GroupPosition, GroupSettings, TopicName } from '../types.ts'
import { parseTopic } from '../wire/topic.ts'

export const groupTypes = ['shared', 'key-shared', 'exclusive', 'failover'] as const

export const says = (error: string) => ({ error })
const leaseText = `takes milliseconds from ${limits.groupLeaseMsMin} to ${limits.groupLeaseMsMax}`
const receivesText = 'takes a whole number from 1 to 1,000'

/** What groups and queues are told in the same way. */
export const commonShape = {
  maxReceives: z.int(says(receivesText)).min(1, says(receivesText)).max(1_000, says(receivesText)).default(5),
  deadLetter: z.string(says('takes the name of a topic')).optional(),
  quorum: z.boolean(says('takes true or false')).default(false),
}

const position = z.union([z.enum(['earliest', 'latest']), z.date()], says("takes 'earliest', 'latest' or a Date"))

const shape = z.strictObject({
  type: z.enum(groupTypes, says(`takes one of ${groupTypes.join(', ')}`)).default('shared'),
  leaseMs: z
    .number(says(leaseText))
    .min(limits.groupLeaseMsMin, says(leaseText))
    .max(limits.groupLeaseMsMax, says(leaseText))
    .default(limits.groupLeaseMs),
  ...commonShape,
  from: position.default('latest'),
})

export interface CheckedGroupOptions {
  settings: GroupSettings
  from: GroupPosition
}

/** Throws `InvalidOption`, `InvalidTopic`. */
export function checkGroupOptions(topic: TopicName, name: string, options: GroupOptions): CheckedGroupOptions {
  if (!/^[A-Za-z0-9][A-Za-z0-9_-]{0,99}$/.test(name)) {
    const sentence = `is ${JSON.stringify(name)}: a group's name is 1 to 100 of A-Z a-z 0-9 _ -, the first a letter or a digit`
    throw invalid('name', sentence)
  }
  const { type, leaseMs, maxReceives, deadLetter, quorum, from } = checkOptions(shape, options)
  const to = checkDeadLetter(topic, deadLetter)
  return { settings: { type, leaseMs, visibilityMs: leaseMs, maxReceives, deadLetter: to, quorum }, from }
}

/** Where a group is to be moved. Throws `InvalidOption`. */
export function checkPosition(to: GroupPosition): GroupPosition {
  return checkOptions(z.strictObject({ to: position }), { to }).to
}

/** Where dead letters go, by default `<topic>.dead`. Throws `InvalidOption`, `InvalidTopic`. */
export function checkDeadLetter(topic: TopicName, asked: string | undefined): TopicName {
  const deadLetter = parseTopic(asked ?? `${topic}.dead`)
  if (deadLetter !== topic) return deadLetter
  throw invalid('deadLetter', 'is the topic itself: its dead letters would come back for ever')
}

/** Options as they are meant, defaults filled in. Throws `InvalidOption` with the first that is wrong. */
export function checkOptions<S extends z.ZodRawShape>(
  known: z.ZodObject<S>,
  options: object,
): z.output<z.ZodObject<S>> {
  const parsed = known.safeParse(options)
  if (parsed.success) return parsed.data
  const [issue] = parsed.error.issues
  if (issue?.code === 'unrecognized_keys')
    throw invalid(issue.keys[0] ?? 'options', `is not known: there are ${Object.keys(known.shape).join(', ')}`)
  const option = String(issue?.path[0] ?? 'options')
  const given = (options as Record<string, unknown>)[option]
  throw invalid(option, `is ${JSON.stringify(given)}: it ${issue?.message ?? 'is wrong'}`)
}

/** What to reject with where a group was asked for as it is not. */
export function conflictOf(
  place: { topic: TopicName; group: string },
  asked: GroupSettings,
  has: GroupSettings,
): GrapevineError<'GroupConflict'> | undefined {
  const names = Object.keys(asked) as (keyof GroupSettings)[]
  if (names.every((name) => asked[name] === has[name])) return undefined
  const shown = (settings: GroupSettings) => names.map((name) => `${name} ${settings[name]}`).join(', ')
  return new GrapevineError(
    'GroupConflict',
    `group ${place.group} on ${place.topic} exists with ${shown(has)}; asked for was ${shown(asked)}: open it as it is, or take another name`,
    { ...place, has, asked },
  )
}

export function invalid(option: string, sentence: string): GrapevineError<'InvalidOption'> {
  return new GrapevineError('InvalidOption', `option \`${option}\` ${sentence}`, { option })
}
