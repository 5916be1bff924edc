/** How a queue is set up and what a sender may ask for: checked, with defaults, in the words of the user. */
import { z } from 'zod'
import {
  type CheckedGroupOptions,
  checkDeadLetter,
  checkOptions,
  commonShape,
  invalid,
  says,
} from '../group/settings.ts'
import { limits } from '../limits.ts'
import type { QueueOptions, ReceiveOptions, SendOptions, TopicName } from '../types.ts'

const visibilityText = `takes milliseconds from ${limits.queueVisibilityMsMin} to ${limits.groupExtendMsMax} (12 hours)`
const queueShape = z.strictObject({
  codec: z.enum(['json', 'text', 'bytes'], says('takes one of json, text, bytes')).default('json'),
  visibilityMs: z
    .number(says(visibilityText))
    .min(limits.queueVisibilityMsMin, says(visibilityText))
    .max(limits.groupExtendMsMax, says(visibilityText))
    .default(limits.queueVisibilityMs),
  fifo: z.boolean(says('takes true or false')).default(false),
  ...commonShape,
})

const delayText = 'takes milliseconds from 0 to 31,536,000,000 (a year)'
const delayMsMax = 31_536_000_000
const priorityText = `takes a whole number from 0 to ${limits.queuePriorityMax}, the most urgent`
const idText = 'takes a text of 1 to 1,024 characters'
const id = z.string(says(idText)).min(1, says(idText)).max(1_024, says(idText))
const expiryText = 'takes milliseconds above 0'
const sendShape = z.strictObject({
  delayMs: z.number(says(delayText)).min(0, says(delayText)).max(delayMsMax, says(delayText)).default(0),
  priority: z
    .int(says(priorityText))
    .min(0, says(priorityText))
    .max(limits.queuePriorityMax, says(priorityText))
    .default(limits.queuePriority),
  groupId: id.optional(),
  dedupId: id.optional(),
  expiresMs: z.number(says(expiryText)).positive(says(expiryText)).optional(),
  headers: z.record(z.string(), z.string(), says('takes an object of texts')).optional(),
  confirm: z.union([z.literal('auto'), z.int().min(0)], says("takes 'auto' or a whole number from 0")).optional(),
  timeoutMs: z.number(says('takes milliseconds above 0')).positive(says('takes milliseconds above 0')).optional(),
})

const maxText = `takes a whole number from 1 to ${limits.groupConcurrencyMax}`
const waitText = 'takes milliseconds from 0'
const receiveShape = z.strictObject({
  max: z.int(says(maxText)).min(1, says(maxText)).max(limits.groupConcurrencyMax, says(maxText)).default(1),
  waitMs: z.number(says(waitText)).min(0, says(waitText)).default(0),
  signal: z.instanceof(AbortSignal, says('takes an AbortSignal')).optional(),
})

export type CheckedQueueOptions = CheckedGroupOptions & { codec: 'json' | 'text' | 'bytes' }

/** Throws `InvalidOption`, `InvalidTopic`. */
export function checkQueueOptions(topic: TopicName, options: QueueOptions): CheckedQueueOptions {
  const { codec, visibilityMs, fifo, maxReceives, deadLetter, quorum } = checkOptions(queueShape, options)
  return {
    codec,
    settings: {
      type: fifo ? 'key-shared' : 'shared',
      leaseMs: limits.groupLeaseMs,
      visibilityMs,
      maxReceives,
      deadLetter: checkDeadLetter(topic, deadLetter),
      quorum,
    },
    // What was sent before anybody received is in the queue.
    from: 'earliest',
  }
}

/** Throws `InvalidOption`. */
export function checkSendOptions(options: SendOptions, fifo: boolean): z.output<typeof sendShape> {
  const checked = checkOptions(sendShape, options)
  if (fifo && checked.groupId === undefined)
    throw invalid('groupId', 'is missing: in a queue with `fifo` each record belongs to a message group')
  return checked
}

/** Throws `InvalidOption`. */
export function checkReceiveOptions(options: ReceiveOptions): z.output<typeof receiveShape> {
  return checkOptions(receiveShape, options)
}
