/** `grapevine sub`: prints the records of a topic as they come, until there are enough of them. */
import type { Command } from 'commander'
import type { Message, Subscription } from '../../node/index.ts'
import { atLeastOne, duration, start } from '../argument.ts'
import { jsonLine } from '../json-line.ts'
import { addPlaceOptions, openPeer, type PlaceOptions } from '../open.ts'
import { isBrokenPipe, stdoutClosed, tell, write } from '../output.ts'
import { stopAsked } from '../stop.ts'

interface SubOptions extends PlaceOptions {
  from?: 'earliest' | 'latest' | Date
  name?: string
  count?: number
  timeout?: number
}

export function addSub(program: Command): void {
  const command = program
    .command('sub')
    .description('Print the records of a topic, one value per line.')
    .argument('<topic>')
    .option('--from <start>', 'earliest, latest, how long ago (10m), or a date (default: latest)', start)
    .option('--name <name>', 'a durable subscription: goes on after what it printed last')
    .option('--count <n>', 'end after this many records', atLeastOne)
    .option('--timeout <duration>', 'end after this long, with exit code 1 if --count was not reached', duration)
  addPlaceOptions(command).action(sub)
}

async function sub(topic: string, options: SubOptions): Promise<void> {
  const { from, name, count = Number.POSITIVE_INFINITY, timeout, json = false } = options
  const ends = [stopAsked(), stdoutClosed(), ...(timeout === undefined ? [] : [AbortSignal.timeout(timeout)])]
  const [, closed] = ends
  const signal = AbortSignal.any(ends)
  const opened = await openPeer(options)
  let printed = 0
  try {
    const subscription = opened.peer.topic<Uint8Array>(topic, { codec: 'bytes' }).subscribe({
      signal,
      ...(from === undefined ? {} : { from }),
      ...(name === undefined ? {} : { name }),
    })
    subscription.ready.then(
      () => tell(`subscribed to ${topic}`),
      () => {},
    )
    printed = await print(subscription, { count, json, named: name !== undefined })
  } catch (error) {
    if (!isBrokenPipe(error)) throw error
  } finally {
    await opened.end()
  }
  if (closed?.aborted || printed >= count || options.count === undefined) return
  tell(`ended after ${printed} of ${count} records`)
  process.exitCode = 1
}

/** Writes a delivery at a time; a record is acknowledged once its line is written. Returns how many there were. */
async function print(
  subscription: Subscription<Uint8Array>,
  { count, json, named }: { count: number; json: boolean; named: boolean },
): Promise<number> {
  const acks = new Set<Promise<unknown>>()
  let failure: unknown
  let printed = 0
  for await (const batch of subscription.batches()) {
    const messages = batch.slice(0, count - printed)
    await write(json ? messages.map((message) => jsonLine(message)).join('') : linesOf(messages))
    printed += messages.length
    if (named) {
      const ack = Promise.all(messages.map((message) => message.ack())).catch((error) => {
        failure ??= error
      })
      acks.add(ack)
      void ack.then(() => acks.delete(ack))
    }
    if (printed >= count || failure !== undefined) break
  }
  await Promise.all(acks)
  if (failure !== undefined) throw failure
  return printed
}

const newline = Buffer.from('\n')

function linesOf(messages: Message<Uint8Array>[]): Uint8Array {
  return Buffer.concat(messages.flatMap(({ value }) => [value, newline]))
}
