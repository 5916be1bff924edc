/**
 * Measuring on this machine, with real processes. A `comparison` says what is measured and what a ratio is to be; `compare` gives each of the
 * `systems` its turn; a turn starts a `crew` of `client` processes with a server beside them; `rounds` makes ratios of the figures; `kept`
 * keeps them and says what changed, `page` shows them.
 *
 * `npm run bench`: all comparisons with other systems; `npm run bench -- group hop`: some; `npm run bench -- copies`: bytes on the wire.
 * Data goes to stdout, all else to stderr.
 */
import { writeFileSync } from 'node:fs'
import { Argument, Command, InvalidArgumentError, Option } from 'commander'
import { type Comparison, compare, comparedText } from './compare.ts'
import { comparisonsOf } from './comparison/all.ts'
import { type CopiesOptions, measureCopies } from './copies.ts'
import { changesOf, changeText, type Extent, isAlike, type Kept, kept, readKept, saveKept } from './kept.ts'
import { pageOf } from './page.ts'
import { type SystemName, systemNames } from './systems/all.ts'

/** What all peers may send for each byte of payload that is delivered. */
const ratioMax = 1.15
const roundsDefault = 7
const quickRounds = 3

const keepNothing = (path: string) => saveKept(path, 'full', [])

function whole(text: string): number {
  if (/^\d+$/.test(text)) return Number(text)
  throw new InvalidArgumentError('Give a whole number.')
}

/** A path with which this can be done: to be known before an hour is spent on measuring. */
function pathFor(act: (path: string) => unknown): (path: string) => string {
  return (path) => {
    try {
      act(path)
      return path
    } catch (error) {
      throw new InvalidArgumentError(error instanceof Error ? error.message : String(error))
    }
  }
}

interface Flags {
  rounds?: number
  only?: SystemName[]
  quick?: boolean
  json?: boolean
  save?: string
  against?: string
  html?: string
}

/** Ends what was started; the systems end with this process. */
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.once(signal, () => process.exit(1))

/** Exit 1 where a ratio is not what it is to be or, beside earlier results, has fallen. */
async function runAll(names: readonly string[], flags: Flags): Promise<void> {
  const { only, json, against, save, html } = flags
  const extent: Extent = flags.quick ? 'quick' : 'full'
  const earlier = against === undefined ? undefined : readKept(against, extent)
  const rounds = flags.rounds ?? (flags.quick ? quickRounds : roundsDefault)
  const onProgress = (line: string) => console.error(line)
  const measured: Kept[] = []
  for (const comparison of comparisonsOf(extent).filter(({ name }) => names.length === 0 || names.includes(name))) {
    const measure = () => compare(comparison, { rounds, cold: flags.quick ?? false, only, onProgress })
    const before = earlier?.find(({ name }) => name === comparison.name)
    let compared = kept(await measure())
    if (before !== undefined && hasFallen(before, compared)) {
      onProgress(`${comparison.name}: a ratio fell; measured once more, in case something else had the machine`)
      compared = kept(await measure())
    }
    measured.push(compared)
    if (save !== undefined) saveKept(save, extent, measured)
    if (html !== undefined) writeFileSync(html, pageOf(measured))
    console.log(json ? JSON.stringify(compared) : comparedText(compared))
    if (earlier === undefined) {
      if (compared.ratios.some(({ met }) => met === false)) process.exitCode = 1
    } else if (before === undefined) onProgress(`${comparison.name}: nothing was kept to compare it with`)
    else {
      for (const change of changesOf(before, compared)) onProgress(`  ${changeText(change)}`)
      if (!isAlike(before.machine, compared.machine))
        onProgress(
          `  what was kept is of another machine (${before.machine.cpu}): it is told, and not held against this one`,
        )
      if (hasFallen(before, compared)) process.exitCode = 1
    }
  }
}

function hasFallen(before: Kept, now: Kept): boolean {
  return isAlike(before.machine, now.machine) && changesOf(before, now).some((change) => change.hasFallen)
}

const comparisons: Comparison[] = comparisonsOf('full')
const program = new Command('bench').description('Measure Grapevine on this machine, beside other systems.')
program
  .enablePositionalOptions()
  // What was asked for wrongly ends with 2, a ratio that is not what it is to be with 1.
  .exitOverride(({ exitCode }) => process.exit(exitCode === 0 ? 0 : 2))
  .addArgument(
    new Argument('[comparison...]', 'these (default: all)').choices(comparisons.map(({ name }) => name)).default([]),
  )
  .option('--rounds <n>', `in each, every system has one turn (default: ${roundsDefault}, quick ${quickRounds})`, whole)
  .addOption(new Option('--only <system...>', 'these systems').choices(systemNames))
  .option('--quick', 'some comparisons with a fifth of the work, without a warm-up')
  .option('--save <file>', 'keeps the results, and the machine, in this JSON file', pathFor(keepNothing))
  .option(
    '--against <file>',
    'says what changed since those were kept, and on a machine like theirs fails where a ratio fell by over 25 %',
    pathFor((path) => readKept(path, 'full')),
  )
  .option(
    '--html <file>',
    'writes a page with plots',
    pathFor((path) => writeFileSync(path, pageOf([]))),
  )
  .option('--json', 'a line of JSON for each comparison')
  .action(runAll)

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

await program.parseAsync()
