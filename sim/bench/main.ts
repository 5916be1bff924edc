/**
 * `npm run bench`: all comparisons with other systems; `npm run bench -- group | copies | local`: one measurement. With real processes on
 * this machine. Data goes to stdout, all else to stderr.
 */
import { Command, InvalidArgumentError, Option } from 'commander'
import { type Comparison, compare, comparedText } from './compare.ts'
import { type CopiesOptions, measureCopies } from './copies.ts'
import { groupComparison, groupWorkload } from './group.ts'
import { measureLocal, type Row } from './local.ts'
import { type SystemName, systemNames } from './systems/all.ts'

/** What all peers may send for each byte of payload that is delivered. */
const ratioMax = 1.15

function whole(text: string): number {
  if (/^\d+$/.test(text)) return Number(text)
  throw new InvalidArgumentError('Give a whole number.')
}

interface CompareFlags {
  rounds?: number
  only?: SystemName[]
  quick?: boolean
  json?: boolean
}

const roundsDefault = 6
/** Ends what was started; the systems end with this process. */
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.once(signal, () => process.exit(1))

function comparing(command: Command): Command {
  return command
    .option('--rounds <n>', `in each, every system has one turn (default: ${roundsDefault})`, whole)
    .addOption(new Option('--only <system...>', 'these systems').choices(systemNames))
    .option('--quick', 'a tenth of the work, once and without a warm-up: whether it runs, not what it comes to')
    .option('--json', 'a line of JSON for each comparison')
}

/** Exit 1 where one is not met. */
async function runAll(comparisons: Comparison[], flags: CompareFlags): Promise<void> {
  const { quick = false, rounds = quick ? 1 : roundsDefault, only, json } = flags
  const onProgress = (line: string) => console.error(line)
  for (const comparison of comparisons) {
    const compared = await compare(comparison, { rounds, cold: quick, only, onProgress })
    console.log(json ? JSON.stringify(compared) : comparedText(compared))
    if (compared.met === false) process.exitCode = 1
  }
}

const program = comparing(new Command('bench').description('Measure Grapevine on this machine, beside other systems.'))
program
  .enablePositionalOptions()
  .action((flags: CompareFlags) => runAll([groupComparison(workloadOf(groupWorkload, flags))], flags))

const workloadOf = <W extends { records: number }>(workload: W, { quick }: CompareFlags): W =>
  quick ? { ...workload, records: workload.records / 10 } : workload

comparing(program.command('group'))
  .description('Receive and acknowledge in a group, beside JetStream and RabbitMQ.')
  .option('--records <n>', `how many (default: ${groupWorkload.records})`, whole)
  .option('--prefetch <n>', 'that each consumer may have at once', whole, groupWorkload.prefetch)
  .action(({ records, prefetch, ...flags }: CompareFlags & { records?: number; prefetch: number }) => {
    const workload = { ...workloadOf(groupWorkload, flags), prefetch, ...(records !== undefined && { records }) }
    return runAll([groupComparison(workload)], flags)
  })

program
  .command('copies')
  .description(`Bytes that all peers send for each byte of payload delivered: exit 1 above ${ratioMax}.`)
  .option('--peers <n>', 'one publishes, the others subscribe', whole, 8)
  .option('--records <n>', 'how many', whole, 400)
  .option('--bytes <n>', 'random bytes in each', whole, 65_536)
  .option('--warmup <n>', 'records published before counting begins', whole, 0)
  .option('--joining', 'count from the start of the peers (default: from when the mesh has formed)', false)
  .option('--json', 'one line of JSON')
  .action(async ({ json, ...options }: CopiesOptions & { json?: boolean }) => {
    const result = await measureCopies(options)
    const mib = (bytes: number) => `${(bytes / 1024 / 1024).toFixed(1)} MiB`
    const text = [
      `${result.records} bodies of ${result.bodyBytes} bytes from one peer to ${result.peers - 1}, in ${result.seconds.toFixed(1)} s`,
      `delivered ${mib(result.deliveredBytes)}, sent by all peers ${mib(result.sentBytes)}`,
      `ratio ${result.ratio.toFixed(3)}, at most ${ratioMax}`,
    ]
    console.log(json ? JSON.stringify({ ...result, ratioMax }) : text.join('\n'))
    process.exitCode = result.ratio > ratioMax ? 1 : 0
  })

program
  .command('local')
  .description('Publishing one by one, in bulk and to many, beside a bare fdatasync.')
  .option('--json', 'a line of JSON for each')
  .action(async ({ json }: { json?: boolean }) => {
    await measureLocal((row) => console.log(json ? JSON.stringify(row) : lineOf(row)))
  })

function lineOf({ what, perSecond, medianMs }: Row): string {
  const median = medianMs === undefined ? '' : `half within ${medianMs.toFixed(2)} ms`
  return `${what.padEnd(54)} ${Math.round(perSecond).toLocaleString('en').padStart(9)}/s  ${median}`.trimEnd()
}

await program.parseAsync()
