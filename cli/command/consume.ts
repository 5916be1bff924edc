/** `grapevine consume`: takes part in a consumer group; prints what it is given, or runs a command for each record. */
import { type Command, Option } from 'commander'
import { type GroupOptions, type GroupPosition, type GroupRecord, isError, limits } from '../../node/index.ts'
import { atLeastOne, duration, start } from '../argument.ts'
import { exec } from '../exec.ts'
import { jsonLine } from '../json-line.ts'
import { addPlaceOptions, openPeer, type PlaceOptions } from '../open.ts'
import { isBrokenPipe, paint, stdoutClosed, tell, write, writeJson } from '../output.ts'
import { stopAsked } from '../stop.ts'

interface ConsumeOptions extends PlaceOptions {
  group: string
  type?: NonNullable<GroupOptions['type']>
  from?: GroupPosition
  concurrency?: number
  exec?: string
  maxReceives?: number
  deadLetter?: string
  leaseMs?: number
  quorum?: boolean
  count?: number
  idle?: number
}

type Handed = GroupRecord<Uint8Array>
/** `lost`: it was not ours any more when its outcome was told. */
type Outcome = 'acknowledged' | 'refused' | 'lost'

/** Printing takes no time: what counts there is that the next record is at hand. */
const printedAtOnce = 100
/** A record whose command failed comes again after the first, doubling up to the last. */
const retryMs = { first: 1_000, last: 300_000 }

export function addConsume(program: Command): void {
  const command = program
    .command('consume')
    .description(
      'Share the records of a topic with the other members of a group: print them, or run a command for each.',
    )
    .argument('<topic>')
    .requiredOption('--group <name>', 'the group: each record goes to one of its members')
    .addOption(
      new Option(
        '--type <type>',
        'shared: any order; key-shared: each key in order; exclusive, failover: one active member',
      ).choices(['shared', 'key-shared', 'exclusive', 'failover']),
    )
    .option(
      '--from <start>',
      'where a new group begins: earliest, latest, how long ago (10m), or a date (default: latest)',
      start,
    )
    .option(
      '--exec <command>',
      'run this in a shell for each record, with the value on stdin and GRAPEVINE_TOPIC, _GROUP, _ID, _KEY, _TIME, _ATTEMPT and _FENCING_TOKEN set; exit 0 acknowledges, all else hands the record out again, later each time',
    )
    .option(
      '--concurrency <n>',
      `records at once, and commands at once (default: 1, without --exec ${printedAtOnce})`,
      atLeastOne,
    )
    .option('--max-receives <n>', 'after so many times a record goes to the dead letters (default: 5)', atLeastOne)
    .option('--dead-letter <topic>', 'the topic for dead letters (default: <topic>.dead)')
    .option('--lease-ms <n>', 'how long a member may be silent before others take over (default: 5000)', atLeastOne)
    .option('--quorum', 'in a partition only the side with a majority of the members goes on')
    .option('--count <n>', 'end after so many records are acknowledged or refused', atLeastOne)
    .option('--idle <duration>', 'end when no record came for so long (default: go on until Ctrl-C)', duration)
  addPlaceOptions(command).action(consume)
}

async function consume(topic: string, options: ConsumeOptions): Promise<void> {
  const { count = Number.POSITIVE_INFINITY, concurrency = options.exec === undefined ? printedAtOnce : 1 } = options
  const [closed, failed] = [stdoutClosed(), new AbortController()]
  const quiet = new Quiet(options.idle)
  const signal = AbortSignal.any([stopAsked(), closed, failed.signal, quiet.signal])
  const opened = await openPeer(options)
  const tally = { acknowledged: 0, refused: 0, lost: 0 }
  const settled = () => tally.acknowledged + tally.refused
  try {
    const group = opened.peer.topic<Uint8Array>(topic, { codec: 'bytes' }).group(options.group, settingsOf(options))
    const records = group.consume({ concurrency: Math.min(concurrency, count), signal })
    tell(`waiting for records of ${topic} in group ${options.group}`)
    quiet.begin()
    const act = (record: Handed) =>
      quiet.while(async () => {
        tally[await handle(record, options)]++
      })
    await eachOf(records, act, { failed, isEnough: (running) => settled() + running >= count })
    await group.drain()
  } catch (error) {
    if (!isBrokenPipe(error)) throw error
  } finally {
    quiet.end()
    await opened.end()
  }
  tell(sentenceOf(tally))
  if (closed.aborted || settled() >= count || options.count === undefined) return
  tell(`ended after ${settled()} of ${count} records`)
  process.exitCode = 1
}

/** Tells when nothing was done for `idleMs`; undefined: never. */
class Quiet {
  readonly #abort = new AbortController()
  readonly #idleMs: number | undefined
  #timer: NodeJS.Timeout | undefined
  #busy = 0

  constructor(idleMs: number | undefined) {
    this.#idleMs = idleMs
  }

  get signal(): AbortSignal {
    return this.#abort.signal
  }

  begin(): void {
    if (this.#idleMs !== undefined) this.#timer = setTimeout(() => this.#abort.abort(), this.#idleMs)
  }

  async while(act: () => Promise<void>): Promise<void> {
    this.#busy++
    this.end()
    try {
      await act()
    } finally {
      if (--this.#busy === 0) this.begin()
    }
  }

  end(): void {
    clearTimeout(this.#timer)
  }
}

interface Bounds {
  /** Aborted with the first failure, which ends the records. */
  failed: AbortController
  /** Whether no more are to be taken while so many are being handled. */
  isEnough(running: number): boolean
}

/** Handles records as they come, until they end or there are enough; resolves when those that were begun are handled too. */
async function eachOf(
  records: AsyncIterable<Handed>,
  act: (record: Handed) => Promise<void>,
  { failed, isEnough }: Bounds,
): Promise<void> {
  const running = new Set<Promise<void>>()
  const iterator = records[Symbol.asyncIterator]()
  try {
    while (!failed.signal.aborted && !isEnough(0)) {
      // One of those that run may turn out not to count.
      if (isEnough(running.size)) {
        await Promise.race(running)
        continue
      }
      const { done, value: record } = await iterator.next()
      if (done) break
      const work = act(record)
        .catch((error) => failed.abort(error))
        .finally(() => running.delete(work))
      running.add(work)
    }
  } finally {
    await iterator.return?.()
    await Promise.all(running)
  }
  if (failed.signal.aborted) throw failed.signal.reason
}

async function handle(record: Handed, options: ConsumeOptions): Promise<Outcome> {
  if (options.exec !== undefined) return execute(record, options.exec, options)
  const { attempt, fencingToken, value } = record
  try {
    await write(options.json ? jsonLine(record, { attempt, fencingToken }) : Buffer.concat([value, newline]))
  } catch (error) {
    // Nobody has seen it.
    await record.nack().catch(() => undefined)
    throw error
  }
  return settle(record, record.ack(), 'acknowledged')
}

async function execute(record: Handed, command: string, { json, leaseMs, group }: ConsumeOptions): Promise<Outcome> {
  const { topic, id, key, attempt, fencingToken, time, value } = record
  const env = {
    GRAPEVINE_TOPIC: topic,
    GRAPEVINE_GROUP: group,
    GRAPEVINE_ID: id,
    GRAPEVINE_KEY: key,
    GRAPEVINE_TIME: String(time),
    GRAPEVINE_ATTEMPT: String(attempt),
    GRAPEVINE_FENCING_TOKEN: String(fencingToken),
  }
  const lease = leaseMs ?? limits.groupLeaseMs
  // Where it was lost, the outcome says so.
  const extending = setInterval(() => void record.extend(lease).catch(() => undefined), lease / 3)
  const { exitCode, ms, reason } = await exec(command, { value, env, stdout: json ? 'stderr' : 'stdout' })
    .then((ended) => ({ ...ended, reason: `exit ${ended.exitCode}` }))
    .catch((error: Error) => ({ exitCode: null, ms: 0, reason: error.message }))
  clearInterval(extending)
  const delayMs = Math.min(retryMs.first * 2 ** (attempt - 1), retryMs.last)
  const outcome =
    exitCode === 0
      ? await settle(record, record.ack(), 'acknowledged')
      : await settle(record, record.nack({ delayMs }), 'refused')
  if (outcome === 'refused') tell(`${paint('red', `record ${id}`)} failed (${reason}), attempt ${attempt}`)
  if (json) await writeJson({ id, key: key ?? null, attempt, fencingToken, outcome, exitCode, ms })
  return outcome
}

async function settle(record: Handed, act: Promise<void>, outcome: Outcome): Promise<Outcome> {
  try {
    await act
    return outcome
  } catch (error) {
    if (!isError(error, 'LeaseLost')) throw error
    tell(`${paint('red', `record ${record.id}`)} was lost: ${error.message}`)
    return 'lost'
  }
}

function settingsOf({ type, from, maxReceives, deadLetter, leaseMs, quorum }: ConsumeOptions): GroupOptions {
  return {
    ...(type === undefined ? {} : { type }),
    ...(from === undefined ? {} : { from }),
    ...(maxReceives === undefined ? {} : { maxReceives }),
    ...(deadLetter === undefined ? {} : { deadLetter }),
    ...(leaseMs === undefined ? {} : { leaseMs }),
    ...(quorum ? { quorum } : {}),
  }
}

function sentenceOf({ acknowledged, refused, lost }: Record<Outcome, number>): string {
  return `acknowledged ${acknowledged}, refused ${refused}${lost > 0 ? `, lost ${lost}` : ''}`
}

const newline = Buffer.from('\n')
