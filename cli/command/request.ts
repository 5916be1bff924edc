/** `grapevine request` and `grapevine respond`: a question to whoever answers on a topic, and a command that answers. */
import { buffer } from 'node:stream/consumers'
import type { Command } from 'commander'
import { type Headers, isError, type RequestInfo } from '../../node/index.ts'
import { atLeastOne, duration, header } from '../argument.ts'
import { exec } from '../exec.ts'
import { jsonValue } from '../json-line.ts'
import { addPlaceOptions, hasCompany, openPeer, type PlaceOptions } from '../open.ts'
import { paint, tell, write, writeJson } from '../output.ts'
import { aborted, stopAsked } from '../stop.ts'

interface RequestOptions extends PlaceOptions {
  timeout?: number
  header?: Headers
}

interface RespondOptions extends PlaceOptions {
  exec: string
  concurrency?: number
  count?: number
}

export function addRequest(program: Command): void {
  const command = program
    .command('request')
    .description('Ask whoever responds on a topic, and print the answer.')
    .argument('<topic>')
    .argument('[value]', 'default: all of stdin')
    .option('--timeout <duration>', 'how long to wait for the answer (default: 5s)', duration)
    .option('--header <name=value>', 'a header of the request; may be repeated', header)
  addPlaceOptions(command).action(request)
}

export function addRespond(program: Command): void {
  const command = program
    .command('respond')
    .description('Answer the requests on a topic with what a command writes.')
    .argument('<topic>')
    .requiredOption(
      '--exec <command>',
      'run this in a shell for each request, with its value on stdin and GRAPEVINE_TOPIC, _PUBLISHER, _TIME and _ATTEMPT set; what it writes is the answer, any exit but 0 a failure',
    )
    .option('--concurrency <n>', 'commands at once (default: 1)', atLeastOne, 1)
    .option('--count <n>', 'end after so many requests', atLeastOne)
  addPlaceOptions(command).action(respond)
}

async function request(topic: string, value: string | undefined, options: RequestOptions): Promise<void> {
  const stop = stopAsked()
  const asked = value === undefined ? await buffer(process.stdin) : Buffer.from(value)
  const opened = await openPeer(options)
  try {
    await hasCompany(opened, stop)
    const answer = await opened.peer.request<Uint8Array>(topic, asked, {
      codec: 'bytes',
      ...(options.timeout !== undefined && { timeoutMs: options.timeout }),
      ...(options.header !== undefined && { headers: options.header }),
    })
    await write(options.json ? `{"answer":${jsonValue(answer)}}\n` : Buffer.concat([answer, newline]))
  } finally {
    await opened.end()
  }
}

async function respond(topic: string, options: RespondOptions): Promise<void> {
  const { concurrency = 1, count = Number.POSITIVE_INFINITY, json } = options
  const stop = stopAsked()
  const enough = new AbortController()
  const opened = await openPeer(options)
  const tally = { answered: 0, failed: 0 }
  const handler = async (value: Uint8Array, { headers, publisher, time, attempt }: RequestInfo) => {
    const env = {
      GRAPEVINE_TOPIC: topic,
      GRAPEVINE_PUBLISHER: publisher,
      GRAPEVINE_TIME: String(time),
      GRAPEVINE_ATTEMPT: String(attempt),
    }
    const { exitCode, ms, output } = await exec(options.exec, { value, env, stdout: 'output' })
    tally[exitCode === 0 ? 'answered' : 'failed']++
    if (json) await writeJson({ publisher, attempt, headers, exitCode, ms })
    if (tally.answered + tally.failed >= count) enough.abort()
    if (exitCode !== 0) {
      tell(`${paint('red', 'a request')} from ${publisher} failed: exit ${exitCode}`)
      throw new Error(`the command ended with exit ${exitCode}`)
    }
    return output.at(-1) === newline[0] ? output.subarray(0, -1) : output
  }
  try {
    const responder = opened.peer.topic<Uint8Array>(topic, { codec: 'bytes' }).respond(handler, { concurrency })
    tell(`responding on ${topic}`)
    await aborted(AbortSignal.any([stop, enough.signal]))
    await responder.close().catch((error) => {
      if (!isError(error, 'PeerClosed')) throw error
    })
  } finally {
    await opened.end()
  }
  tell(`answered ${tally.answered}, failed ${tally.failed}`)
}

const newline = Buffer.from('\n')
