/** `npm run bench -- copies | local`: measurements with real processes on this machine. Data goes to stdout, all else to stderr. */
import { Command, InvalidArgumentError } from 'commander'
import { type CopiesOptions, measureCopies } from './copies.ts'
import { measureLocal, type Row } from './local.ts'

/** What all peers may send for each byte of payload that is delivered. */
const ratioMax = 1.15

function whole(text: string): number {
  if (/^\d+$/.test(text)) return Number(text)
  throw new InvalidArgumentError('Give a whole number.')
}

const program = new Command('bench').description('Measure Grapevine on this machine.')

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
