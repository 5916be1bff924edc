/** `grapevine queue …`: sends to a work queue, receives from it, settles what was received, and looks after it. */
import { type Command, Option } from 'commander'
import {
  GrapevineError,
  type GroupSettings,
  type Headers,
  isError,
  type Peer,
  type Queue,
  type QueueOptions,
  type QueueSummary,
  type SendOptions,
} from '../../node/index.ts'
import { atLeastOne, count, duration, header } from '../argument.ts'
import { jsonLine } from '../json-line.ts'
import { addPlaceOptions, alone, hasCompany, type Opened, openPeer, type PlaceOptions } from '../open.ts'
import { paint, table, tell, write, writeJson } from '../output.ts'
import { sourceOf } from '../source.ts'
import { stopAsked } from '../stop.ts'

interface SetUp extends PlaceOptions {
  visibility?: number
  maxReceives?: number
  deadLetter?: string
  fifo?: boolean
  quorum?: boolean
}

type Bytes = Queue<Uint8Array>

/** Records on their way at once. */
const sending = 100

export function addQueue(program: Command): void {
  const queue = program.command('queue').description('Send to a work queue, receive from it, and look after it.')
  const verb = (name: string, description: string) =>
    addPlaceOptions(addSetUp(queue.command(name).description(description).argument('<queue>')))

  verb('send', 'Send values, the lines of a file, or the lines of stdin as they come.')
    .argument('[values...]')
    .option('--file <path>', 'send the lines of a file')
    .option('--delay <duration>', 'not to be received before', duration)
    .option('--priority <n>', '0 to 9, the most urgent (default: 4)', count)
    .option('--group-id <id>', 'the message group: needed in a fifo queue')
    .option('--dedup-id <id>', 'of what is sent under one id within 5 minutes, one is received')
    .option('--expires <duration>', 'removed when nobody has received it by then', duration)
    .option('--header <name=value>', 'a header of every record; may be repeated', header)
    .action(send)
  verb('receive', 'Receive records; each is yours until its visibility timeout is over.')
    .option('--max <n>', 'at most so many (default: 1)', atLeastOne, 1)
    .option('--wait <duration>', 'how long to wait for the first', duration)
    .option('--ack', 'acknowledge each once it is written')
    .action(receive)
  verb('ack', 'Acknowledge received records by their receipts, or settle them otherwise.')
    .argument('<receipts...>')
    .addOption(new Option('--nack', 'have them handed out again instead').conflicts(['release', 'extend']))
    .option('--delay <duration>', 'with --nack: not before', duration)
    .addOption(new Option('--release', 'give them back untried instead').conflicts('extend'))
    .addOption(new Option('--extend <duration>', 'keep them for so long from now instead').argParser(duration))
    .action(settle)
  verb('browse', 'Print what is in the queue without receiving it.')
    .option('--max <n>', 'at most so many (default: 100)', atLeastOne)
    .action(browse)
  verb('purge', 'Remove everything that is in the queue.').action(purge)
  verb('redrive', 'Send the dead letters of the queue to it again.')
    .option('--max <n>', 'at most so many (default: all)', atLeastOne)
    .action(redrive)
  addPlaceOptions(queue.command('list').description('List the queues that are known, without opening them.')).action(
    list,
  )
  verb('stats', 'Count what is ready, in flight, delayed and dead.').action(stats)
}

function addSetUp(command: Command): Command {
  return command
    .option('--visibility <duration>', 'of a new queue: how long a receiver has for a record (default: 30s)', duration)
    .option('--max-receives <n>', 'of a new queue: dead after so many times (default: 5)', atLeastOne)
    .option('--dead-letter <queue>', 'of a new queue: where dead letters go (default: <queue>.dead)')
    .option('--fifo', 'of a new queue: message groups in order')
    .option('--quorum', 'of a new queue: in a partition only the majority goes on')
}

interface SendArguments extends SetUp {
  file?: string
  delay?: number
  priority?: number
  groupId?: string
  dedupId?: string
  expires?: number
  header?: Headers
}

async function send(name: string, values: string[], options: SendArguments): Promise<void> {
  const stop = stopAsked()
  const source = await sourceOf(values, options, stop)
  const asked: SendOptions = {
    ...(options.delay !== undefined && { delayMs: options.delay }),
    ...(options.priority !== undefined && { priority: options.priority }),
    ...(options.groupId !== undefined && { groupId: options.groupId }),
    ...(options.dedupId !== undefined && { dedupId: options.dedupId }),
    ...(options.expires !== undefined && { expiresMs: options.expires }),
    ...(options.header !== undefined && { headers: options.header }),
  }
  const result = { published: 0, confirmed: 0, copies: Number.POSITIVE_INFINITY }
  try {
    await withQueue(name, options, stop, async (queue, opened) => {
      if (opened.kind === 'memory' && !(await hasCompany(opened, stop))) throw alone()
      const running = new Set<Promise<void>>()
      const failed = Promise.withResolvers<never>()
      failed.promise.catch(() => undefined)
      for await (const value of source.values) {
        if (stop.aborted) break
        result.published++
        const work = queue.send(value, asked).then(({ copies }) => {
          running.delete(work)
          result.confirmed++
          result.copies = Math.min(result.copies, copies)
          source.onProgress(result)
        })
        work.catch(failed.reject)
        running.add(work)
        if (running.size >= sending) await Promise.race([...running, failed.promise])
      }
      await Promise.all(running)
    })
  } finally {
    source.end()
    const { published, confirmed, copies } = result
    const summary = { sent: published, confirmed, copies: Number.isFinite(copies) ? copies : 0 }
    if (options.json) await writeJson(summary)
    else tell(`sent ${published}, confirmed ${confirmed}`)
  }
  if (result.confirmed < result.published || stop.aborted) process.exitCode = 1
}

async function receive(name: string, options: SetUp & { max: number; wait?: number; ack?: boolean }): Promise<void> {
  const stop = stopAsked()
  const { max, wait = 0, ack = false, json } = options
  let got = 0
  await withQueue(name, options, stop, async (queue, opened) => {
    if (!ack && opened.kind !== 'running') {
      const sentence =
        'a receipt is worth nothing after the peer of its own that this command runs: give --ack, or start one with `grapevine up`'
      throw new GrapevineError('InvalidOption', sentence, { option: 'ack' })
    }
    await hasCompany(opened, stop)
    const records = await queue.receive({ max, waitMs: wait, signal: stop }).catch((error) => {
      if (stop.aborted) return []
      throw error
    })
    got = records.length
    for (const record of records) {
      const { attempt, fencingToken, receipt } = record
      if (json) await write(jsonLine(record, { attempt, fencingToken, receipt }))
      else {
        await write(Buffer.concat([record.value, newline]))
        if (!ack) tell(paint('dim', `receipt ${receipt}`))
      }
      if (ack) await record.ack()
    }
  })
  if (got > 0) return
  tell('nothing was there')
  process.exitCode = 1
}

async function settle(
  name: string,
  receipts: string[],
  options: SetUp & { nack?: boolean; delay?: number; release?: boolean; extend?: number },
): Promise<void> {
  const { nack, delay, release, extend } = options
  const done = nack ? 'refused' : release ? 'released' : extend !== undefined ? 'extended' : 'acknowledged'
  let failures = 0
  await withQueue(name, options, stopAsked(), async (queue, opened) => {
    if (opened.kind !== 'running') {
      const sentence = 'receipts belong to the peer they were received through, and none runs in this folder'
      throw new GrapevineError('ApiFailed', sentence, { status: 0 })
    }
    for (const receipt of receipts) {
      const outcome = await act(queue, receipt).catch((error) => {
        if (!isError(error, 'LeaseLost')) throw error
        failures++
        tell(`${paint('red', receipt)} was lost: ${error.message}`)
        return 'lost'
      })
      if (options.json) await writeJson({ receipt, outcome })
    }
  })
  if (!options.json) tell(`${done} ${receipts.length - failures} of ${receipts.length}`)
  if (failures > 0) process.exitCode = 1

  async function act(queue: Bytes, receipt: string): Promise<string> {
    const settling = queue.byReceipt(receipt)
    if (nack) await settling.nack(delay === undefined ? {} : { delayMs: delay })
    else if (release) await settling.release()
    else if (extend !== undefined) await settling.extend(extend)
    else await settling.ack()
    return done
  }
}

async function browse(name: string, options: SetUp & { max?: number }): Promise<void> {
  await withQueue(name, options, stopAsked(), async (queue) => {
    const { max, json } = options
    for (const message of await queue.browse(max === undefined ? {} : { max }))
      await write(json ? jsonLine(message) : Buffer.concat([message.value, newline]))
  })
}

async function purge(name: string, options: SetUp): Promise<void> {
  const removed = await withQueue(name, options, stopAsked(), (queue) => queue.purge())
  if (options.json) await writeJson({ removed })
  else tell(`removed ${removed}`)
}

async function redrive(name: string, options: SetUp & { max?: number }): Promise<void> {
  const { max } = options
  const act = (queue: Bytes) => queue.redrive(max === undefined ? {} : { max })
  const redriven = await withQueue(name, options, stopAsked(), act)
  if (options.json) await writeJson({ redriven })
  else tell(`sent ${redriven} again`)
}

async function list(options: PlaceOptions): Promise<void> {
  const opened = await openPeer(options)
  try {
    await hasCompany(opened, stopAsked())
    const queues = await opened.peer.queues()
    if (options.json) await writeJson(queues)
    else await write(tableOf(queues))
  } finally {
    await opened.end()
  }
}

async function stats(name: string, options: SetUp): Promise<void> {
  const counted = await withQueue(name, options, stopAsked(), (queue) => queue.stats())
  if (options.json) return writeJson(counted)
  await write(tableOf([counted]))
}

/** What cannot be known here is `-`. */
function tableOf(queues: readonly QueueSummary[]): string {
  const rows = queues.map(({ name, ready = '-', inFlight, delayed, dead = '-', settings }) => {
    const kind = settings.type === 'key-shared' ? 'fifo' : 'any order'
    return [name, ready, inFlight, delayed, dead, kind, `${settings.visibilityMs / 1_000} s`].map(String)
  })
  return table(['QUEUE', 'READY', 'IN FLIGHT', 'DELAYED', 'DEAD', 'ORDER', 'VISIBILITY'], rows)
}

/** Does something with the queue, as it was asked for; where nothing was asked, as whoever made it has set it up. */
async function withQueue<R>(
  name: string,
  options: SetUp,
  stop: AbortSignal,
  act: (queue: Bytes, opened: Opened) => Promise<R>,
): Promise<R> {
  const asked = optionsOf(options)
  const opened = await openPeer(options)
  try {
    await hasCompany(opened, stop)
    const queue = await queueOf(opened.peer, name, asked)
    return await act(queue, opened)
  } finally {
    await opened.end()
  }
}

async function queueOf(peer: Peer, name: string, asked: QueueOptions): Promise<Bytes> {
  const queue = peer.queue<Uint8Array>(name, { ...asked, codec: 'bytes' })
  if (Object.keys(asked).length > 0) return queue
  try {
    await queue.browse({ max: 1 })
    return queue
  } catch (error) {
    if (!isError(error, 'GroupConflict')) throw error
    return peer.queue<Uint8Array>(name, { ...optionsLike(error.data.has), codec: 'bytes' })
  }
}

function optionsOf({ visibility, maxReceives, deadLetter, fifo, quorum }: SetUp): QueueOptions {
  return {
    ...(visibility !== undefined && { visibilityMs: visibility }),
    ...(maxReceives !== undefined && { maxReceives }),
    ...(deadLetter !== undefined && { deadLetter }),
    ...(fifo && { fifo }),
    ...(quorum && { quorum }),
  }
}

function optionsLike({ type, visibilityMs, maxReceives, deadLetter, quorum }: GroupSettings): QueueOptions {
  return { visibilityMs, maxReceives, deadLetter, quorum, fifo: type === 'key-shared' }
}

const newline = Buffer.from('\n')
