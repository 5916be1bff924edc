/** `grapevine open`: the page of the peer that runs, in a browser. */
import type { Command } from 'commander'
import { GrapevineError, pageLink } from '../../node/index.ts'
import { openInBrowser } from '../browser.ts'
import { defaultFolder } from '../folder.ts'
import { atRunning, type PlaceOptions } from '../open.ts'
import { tell, write, writeJson } from '../output.ts'

interface OpenOptions extends Pick<PlaceOptions, 'api' | 'data' | 'json'> {
  print?: boolean
}

export function addOpen(program: Command): void {
  program
    .command('open')
    .description('Open the page of the running peer in a browser.')
    .option('--data <dir>', 'the data folder of the peer')
    .option('--api <host:port>', 'the local API of the peer; its token comes from GRAPEVINE_TOKEN or the data folder')
    .option('--print', 'print the link instead; it lets in one browser, once')
    .option('--json', 'the link as JSON, and no browser')
    .action(openPage)
}

async function openPage(options: OpenOptions): Promise<void> {
  const link = await atRunning(options, pageLink)
  if (link === undefined) {
    const message = `no peer runs in ${options.data ?? defaultFolder()}: start one with \`grapevine up\``
    throw new GrapevineError('ApiFailed', message, { status: 0 })
  }
  if (options.json) return await writeJson({ link })
  if (options.print) return await write(`${link}\n`)
  const opens = await openInBrowser(link)
  tell(
    opens
      ? 'The page opens in your browser. If none comes up, this link lets one in, once:'
      : 'No browser can be started here. This link lets in one, once:',
  )
  await write(`${link}\n`)
}
