/** `grapevine pub`: publishes values, the lines of a file, or the lines of stdin as they come. */
import { type Command, Option } from 'commander'
import type { CodecName, Headers, Outgoing, PublishManyResult } from '../../node/index.ts'
import { count, duration, header } from '../argument.ts'
import { addPlaceOptions, alone, hasCompany, type Opened, openPeer, type PlaceOptions } from '../open.ts'
import { paint, tell, writeJson } from '../output.ts'
import { recordOf } from '../record.ts'
import { type Source, sourceOf } from '../source.ts'
import { stopAsked } from '../stop.ts'

interface PubOptions extends PlaceOptions {
  key?: string
  keyField?: string
  header?: Headers
  confirm?: number
  timeout?: number
  file?: string
  codec: CodecName
}

export function addPub(program: Command): void {
  const command = program
    .command('pub')
    .description('Publish values, the lines of a file, or the lines of stdin as they come.')
    .argument('<topic>')
    .argument('[values...]')
    .addOption(new Option('--key <key>', 'the key of every record').conflicts('keyField'))
    .option('--key-field <field>', 'take each key from this field of the JSON object that the value is')
    .option('--header <name=value>', 'a header of every record; may be repeated', header)
    .option(
      '--confirm <n>',
      'how many other peers must have each record on disk (default: 1 where there is another)',
      count,
    )
    .option('--timeout <duration>', 'how long to wait for that (default: 30s)', duration)
    .option('--file <path>', 'publish the lines of a file')
    .addOption(
      new Option('--codec <name>', 'check that each value is json or text')
        .choices(['json', 'text', 'bytes'])
        .default('bytes'),
    )
  addPlaceOptions(command).action(pub)
}

async function pub(topic: string, values: string[], options: PubOptions): Promise<void> {
  const stop = stopAsked()
  const source = await sourceOf(values, options, stop)
  const opened = await openPeer(options)
  const state = { broken: 0, result: { published: 0, confirmed: 0, copies: 0 } }
  try {
    const stream = opened.peer.topic<Uint8Array>(topic, { codec: 'bytes' })
    const confirm = await confirmOf(opened, options, stop)
    await stream
      .publishMany(
        records(source.values, options, source.noun, () => state.broken++),
        {
          ...(confirm === undefined ? {} : { confirm }),
          ...(options.timeout === undefined ? {} : { timeoutMs: options.timeout }),
          onProgress: (result) => {
            state.result = result
            source.onProgress(result)
          },
        },
      )
      .then((result) => {
        state.result = result
      })
  } finally {
    source.end()
    if (options.json) await writeJson(state.result)
    await opened.end()
  }
  if (!options.json) tell(sentenceOf(state.result))
  if (stop.aborted) tell('stopped before the end of the input')
  const { published, confirmed } = state.result
  process.exitCode = state.broken > 0 || stop.aborted || confirmed < published ? 1 : 0
}

/** A peer in memory that is alone would lose everything with the process: then a copy elsewhere is asked for. */
async function confirmOf(opened: Opened, { confirm }: PubOptions, stop: AbortSignal): Promise<number | undefined> {
  if (confirm !== undefined || (await hasCompany(opened, stop)) || opened.kind !== 'memory') return confirm
  throw alone()
}

/** Leaves out what is broken, having said which it was and why. */
async function* records(
  values: Source['values'],
  { key, keyField, header, codec }: PubOptions,
  noun: string,
  onBroken: () => void,
): AsyncGenerator<Outgoing<Uint8Array>> {
  let number = 0
  for await (const value of values) {
    number++
    const record = recordOf(value, { codec, key, keyField })
    if ('broken' in record) {
      onBroken()
      tell(`${paint('red', `${noun} ${number}`)} is not published: ${record.broken}`)
    } else {
      yield header ? { ...record, headers: header } : record
    }
  }
}

function sentenceOf({ published, confirmed, copies }: PublishManyResult): string {
  const others = copies === 1 ? 'one other peer' : `${copies} other peers`
  return `published ${published}, confirmed ${confirmed}${copies > 0 ? ` by ${others}` : ''}`
}
