/** `grapevine invite`: the running peer's addresses and its mesh secret in one string, for somebody else's `--join`. */
import { type Command, Option } from 'commander'
import { encodeInvite, GrapevineError } from '../../node/index.ts'
import { defaultFolder, secretIn } from '../folder.ts'
import { connectedPeer, type PlaceOptions } from '../open.ts'
import { tell, write, writeJson } from '../output.ts'

export function addInvite(program: Command): void {
  program
    .command('invite')
    .description('Print an invite to the mesh of the running peer, for --join. It has the mesh secret in it.')
    .option('--data <dir>', 'the data folder of the peer')
    .option('--api <host:port>', 'the local API of the peer; its token comes from GRAPEVINE_TOKEN or the data folder')
    .addOption(
      new Option('--mesh <secret>', 'the mesh secret (default: the one the running peer has)').env('GRAPEVINE_MESH'),
    )
    .option('--json', 'as JSON')
    .action(invite)
}

async function invite(options: Pick<PlaceOptions, 'data' | 'api' | 'mesh' | 'json'>): Promise<void> {
  const peer = await connectedPeer(options)
  if (!peer) {
    throw new GrapevineError(
      'ApiFailed',
      'no peer runs here to invite to: start one with `grapevine up --listen … --mesh …`',
      { status: 0 },
    )
  }
  try {
    const { addresses } = await peer.status()
    if (addresses.length === 0) {
      throw new GrapevineError('ApiFailed', 'the peer listens nowhere, so nobody can join it: start it with --listen', {
        status: 0,
      })
    }
    const outside = addresses.filter((address) => !/^\/(ip4\/127\.|ip6\/::1\/)/.test(address))
    const secret = options.mesh ?? (await secretIn(options.data ?? defaultFolder())) ?? ''
    if (outside.length === 0) tell('this peer listens on loopback only: the invite works on this machine alone')
    if (secret === '') tell('this mesh has no secret')
    const all = { addresses: outside.length > 0 ? outside : addresses, secret }
    const text = encodeInvite(all)
    await (options.json ? writeJson({ invite: text, addresses: all.addresses }) : write(`${text}\n`))
  } finally {
    await peer.close()
  }
}
