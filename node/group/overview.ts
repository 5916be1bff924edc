/**
 * A group seen from outside: what its members have told each other, read once from the control topic. Nothing is told and nobody joins; where the
 * control topic is not here it is carried for as long as that takes.
 */
import type { Clock } from '../ports.ts'
import type { TopicLog } from '../store/topic-log.ts'
import type { GroupMember, GroupSummary, GroupType, PeerId, TopicName } from '../types.ts'
import { Backlog } from './backlog.ts'
import { Board } from './board.ts'
import { Duplicates } from './duplicates.ts'
import { Ledger } from './ledger.ts'
import type { MemberParts } from './member.ts'
import type { Notice } from './notice.ts'
import { Reader } from './reader.ts'
import { Slots, slotCount } from './slots.ts'

type Beat = Extract<Notice, { type: 'beat' }>

export interface OverviewPlace {
  control: TopicName
  topic: TopicName
  group: string
}

/** Undefined where nobody has said yet how the group is set up. */
export async function overviewOf(
  { control, topic, group }: OverviewPlace,
  { me, topics, carrier, sync, clock }: MemberParts,
): Promise<GroupSummary | undefined> {
  const beats = new Map<PeerId, { beat: Beat; time: number }>()
  const ledger = new Ledger({ me, onDone: () => [], onTwice: () => undefined })
  const onNotice = (notice: Notice, by: PeerId, time: number) => {
    if (notice.type === 'open') ledger.onOpening({ ...notice, by })
    else if (notice.type === 'seek') ledger.onSeek({ ...notice, by })
    else if (notice.type === 'work') ledger.onWork(notice, by)
    else if (notice.type === 'beat') {
      if (time >= (beats.get(by)?.time ?? 0)) beats.set(by, { beat: notice, time })
    } else if (notice.type === 'sum') {
      ledger.onOpening(notice.opened)
      if (notice.sought !== undefined) ledger.onSeek(notice.sought)
      ledger.onSum(notice)
    }
  }
  const board = new Board({ control, topics, sync, clock, onNotice, onBad: () => undefined })
  const isHere = carrier.isCarried(control)
  const log = await carrier.carry(control, 'subscribed')
  try {
    if (!isHere) await topics.meet(control, 'level')
    await board.open(log)
    await board.close()
  } finally {
    carrier.drop(control, 'subscribed')
  }
  if (ledger.opened === undefined) return undefined
  const { settings } = ledger.opened
  const now = clock.now()
  const members: GroupMember[] = []
  let [inFlight, delayed] = [0, 0]
  for (const [peer, { beat, time }] of [...beats].sort(([a], [b]) => (a < b ? -1 : 1))) {
    const silentMs = Math.max(0, now - time)
    if (beat.leaving || silentMs > settings.leaseMs) continue
    members.push({ peer, slots: beat.held.length, silentMs })
    const [out, waiting] = beat.counts ?? [0, 0]
    inFlight += out
    delayed += waiting
  }
  const lag = carrier.isCarried(topic)
    ? await lagOf(await carrier.hold(topic), clock, ledger, settings.type)
    : undefined
  const { redelivered } = ledger.progress
  return { topic, name: group, settings, members, slots: slotCount(settings.type), lag, inFlight, delayed, redelivered }
}

async function lagOf(log: TopicLog, clock: Clock, { progress, start }: Ledger, type: GroupType): Promise<number> {
  const reader = new Reader({
    log,
    clock,
    slots: new Slots(type),
    progress,
    backlog: new Backlog(),
    byKey: false,
    sort: undefined,
    duplicates: new Duplicates(),
    heldUntil: () => undefined,
    start: () => start,
    isOurs: () => false,
    onAdded: () => undefined,
  })
  const lags = await reader.lag().finally(() => reader.close())
  return lags.reduce((sum, lag) => sum + lag, 0)
}
