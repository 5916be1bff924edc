/** All commands in one program: how arguments are judged, how failures are told, and what the process exits with. */
import { Command, CommanderError } from 'commander'
import { isError, version } from '../node/index.ts'
import { addConsume } from './command/consume.ts'
import { addDemo } from './command/demo.ts'
import { addDoctor } from './command/doctor.ts'
import { addFriends } from './command/friends.ts'
import { addGroups } from './command/groups.ts'
import { addInvite } from './command/invite.ts'
import { addOpen } from './command/open.ts'
import { addPub } from './command/pub.ts'
import { addQueue } from './command/queue.ts'
import { addRequest, addRespond } from './command/request.ts'
import { addSim } from './command/sim.ts'
import { addStatus } from './command/status.ts'
import { addSub } from './command/sub.ts'
import { addTop } from './command/top.ts'
import { addTopics } from './command/topics.ts'
import { addUp } from './command/up.ts'
import { addWhy } from './command/why.ts'
import { isBrokenPipe, paint, stdoutClosed, tell } from './output.ts'

const exitCodes = `
Exit codes: 0 done, 1 failed, 2 wrong usage. Data goes to stdout, all else to stderr.
A command talks to the peer that runs in --data (default $XDG_DATA_HOME/grapevine/default);
where none runs it is a peer of its own for as long as it takes.`

/** Failures that the caller mends by calling differently. */
const usage = new Set(['InvalidOption', 'InvalidTopic', 'MeshOpen'])

/** How long the process may take to fall silent by itself: all is written and closed by then, and some timers of libp2p run on. */
const lingerMs = 100

/** All commands, each with its help. */
export function grapevine(): Command {
  const program = new Command('grapevine')
    .description('Messaging without a broker: durable topics over a mesh of equal peers.')
    .version(version)
    .addHelpText('after', exitCodes)
    .exitOverride()
    .configureOutput({ writeErr: (text) => process.stderr.write(text) })
  for (const add of [
    addUp,
    addOpen,
    addPub,
    addSub,
    addConsume,
    addQueue,
    addRequest,
    addRespond,
    addStatus,
    addFriends,
    addTopics,
    addTop,
    addWhy,
    addGroups,
    addInvite,
    addDemo,
    addDoctor,
    addSim,
  ])
    add(program)
  // Subcommands are made before they can inherit it.
  for (const command of program.commands.flatMap((each) => [each, ...each.commands]))
    command.exitOverride().showHelpAfterError('(--help tells more)')
  return program
}

/** Runs one command line and sets the exit code; never rejects. */
export async function run(args: string[]): Promise<void> {
  // From here on a reader that is gone fails the write that needed it, and not the process.
  stdoutClosed()
  try {
    await grapevine().parseAsync(args, { from: 'user' })
  } catch (error) {
    process.exitCode = failed(error, args.includes('--json'))
  }
  setTimeout(() => process.exit(), lingerMs).unref()
}

function failed(error: unknown, json: boolean): number {
  if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : 2
  if (isBrokenPipe(error)) return 0
  const message = error instanceof Error ? error.message : String(error)
  if (!isError(error)) {
    tell(
      json
        ? JSON.stringify({ error: { code: 'Failed', message, data: {} } })
        : `${paint('red', 'grapevine:')} ${message}`,
    )
    return 1
  }
  const { code, data } = error
  tell(json ? JSON.stringify({ error: { code, message, data } }) : `${paint('red', 'grapevine:')} ${message}`)
  return usage.has(code) ? 2 : 1
}
