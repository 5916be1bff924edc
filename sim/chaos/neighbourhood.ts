/**
 * Peers and commands as processes of their own, for chaos runs and for tests that show what a user of `grapevine` sees.
 *
 * A neighbourhood is one run's own machine: its folders lie in the run's temp folder and its peers meet in a rendezvous
 * folder of their own, so they never meet others on this computer. Whatever was started in it is killed when the run ends,
 * and with this process however that ends: children share its process group, which test/run.ts kills.
 */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync, readFileSync } from 'node:fs'
import { extname, join } from 'node:path'
import type { Writable } from 'node:stream'
import { connectPeer, type Peer, type PeerStatus } from '../../node/index.ts'
import { until } from './until.ts'

const main = join(import.meta.dirname, `../../cli/main${extname(import.meta.url)}`)
/** A process that takes longer to say `ready` has hung. */
const readyMs = 40_000
const tokenInMemory = 'neighbours'

/** What a run gives: where things may lie, and what is undone in the end. */
export interface Tools {
  dir(): string
  use(undo: () => unknown): unknown
}

/** How a process is started beyond its command line. */
export interface Start {
  /** Arguments to Node itself. */
  node?: readonly string[]
  env?: Readonly<Record<string, string>>
  /** In a group of its own, which the terminal's Ctrl-C does not reach. */
  detached?: boolean
}

/** A line of `up --json`. */
export interface PeerLine {
  event: string
  [field: string]: unknown
}

export interface CommandResult {
  /** Exit code, or the signal's name. */
  code: number | string
  stdout: Buffer
  stderr: string
}

/** A running command: `stdin` is open until it is ended. */
export interface RunningCommand {
  readonly pid: number
  readonly stdin: Writable
  /** All of stdout so far. */
  output(): Buffer
  errors(): string
  /** When it has ended by itself or was killed. */
  readonly ended: Promise<CommandResult>
  /** SIGKILL; resolves when the process is gone. */
  kill(): Promise<void>
}

export interface PeerProcess {
  readonly name: string
  readonly pid: number
  readonly id: string
  readonly addresses: string[]
  /** Its data folder; empty for an ephemeral peer. */
  readonly data: string
  readonly events: PeerLine[]
  errors(): string
  /** Runs a command that talks to this peer. */
  run(args: string[], stdin?: string | Buffer): Promise<CommandResult>
  start(args: string[], onLine?: (line: string) => void): RunningCommand
  /** A client of its local API, in this process: for what is asked often. */
  readonly client: Peer
  status(): Promise<PeerStatus>
  event(name: string, ms?: number): Promise<PeerLine>
  /** When it has ended by itself or was killed. */
  readonly ended: Promise<CommandResult>
  /** SIGKILL. */
  kill(): Promise<void>
  /** SIGTERM, as Ctrl-C: orderly. Resolves with the exit code. */
  stop(): Promise<number | string>
}

export class Neighbourhood {
  /** Where the peers' data folders are. */
  readonly root: string
  readonly #env: NodeJS.ProcessEnv
  readonly #children = new Set<ChildProcess>()

  constructor({ use, dir }: Tools) {
    this.root = dir()
    const runtime = join(this.root, 'run')
    // A rendezvous folder is used only where nobody else can enter.
    mkdirSync(runtime, { mode: 0o700 })
    this.#env = {
      ...process.env,
      XDG_RUNTIME_DIR: runtime,
      XDG_DATA_HOME: join(this.root, 'data'),
      TMPDIR: this.root,
      GRAPEVINE_TEST_REPORT: '',
    }
    for (const name of ['GRAPEVINE_MESH', 'GRAPEVINE_TOKEN', 'NODE_OPTIONS']) delete this.#env[name]
    const killAll = () => {
      for (const child of this.#children) child.kill('SIGKILL')
    }
    process.once('exit', killAll)
    use(async () => {
      process.off('exit', killAll)
      killAll()
      await until(() => this.#children.size === 0, 10_000, 'every process is gone')
    })
  }

  folderOf(name: string): string {
    return join(this.root, 'peers', name)
  }

  /** Runs `grapevine up --json` until it says `ready`; `name` names its folder, in which it goes on when started again. Where that fails, none runs. */
  async up(name: string, args: string[] = [], start: Start = {}): Promise<PeerProcess> {
    const data = args.includes('--ephemeral') ? '' : this.folderOf(name)
    const events: PeerLine[] = []
    const onLine = (line: string) => void events.push(JSON.parse(line))
    const running = this.start(['up', '--json', ...(data ? ['--data', data] : []), ...args], onLine, start)
    try {
      return await this.#ready(name, data, running, events)
    } catch (error) {
      // Or it would keep its folder, and nobody could start there again.
      await running.kill()
      throw error
    }
  }

  async #ready(name: string, data: string, running: RunningCommand, events: PeerLine[]): Promise<PeerProcess> {
    let gone: CommandResult | undefined
    running.ended.then((result) => {
      gone = result
    })
    await until(() => events.length > 0 || gone, readyMs).catch(() => {
      throw new Error(`peer ${name} did not say ready within ${readyMs} ms: ${running.errors()}`)
    })
    if (gone) throw new Error(`peer ${name} ended with ${gone.code}: ${gone.stderr}`)
    const [ready] = events as unknown as [{ id: string; addresses: string[]; api: string; event: string }]
    if (ready.event !== 'ready') throw new Error(`peer ${name} began with ${JSON.stringify(ready)}`)
    const place = data ? ['--data', data] : ['--api', ready.api]
    const run = (command: string[], stdin?: string | Buffer) => this.run([...command, ...place], stdin)
    const token = data ? readFileSync(join(data, 'token'), 'utf8') : tokenInMemory
    const client = await connectPeer({ api: ready.api, token })
    void running.ended.then(() => client.close())
    return {
      name,
      pid: running.pid,
      id: ready.id,
      addresses: ready.addresses,
      data,
      events,
      errors: running.errors,
      run,
      start: (command, onLine) => this.start([...command, ...place], onLine),
      client,
      status: () => client.status(),
      event: (event, ms) =>
        until(() => events.find((line) => line.event === event), ms, `peer ${name} tells of ${event}`),
      ended: running.ended,
      kill: running.kill,
      stop: async () => {
        process.kill(running.pid, 'SIGTERM')
        return (await running.ended).code
      },
    }
  }

  /** Runs a command to its end. */
  async run(args: string[], stdin: string | Buffer = ''): Promise<CommandResult> {
    const running = this.start(args)
    running.stdin.end(stdin)
    return running.ended
  }

  /** Starts a command. With `onLine`, stdout goes there a line at a time and is not kept. */
  start(
    args: string[],
    onLine?: (line: string) => void,
    { node = [], env: more = {}, detached = false }: Start = {},
  ): RunningCommand {
    // A peer in memory has no folder in which commands would find its token.
    const token = args.includes('--ephemeral') || args.includes('--api') ? { GRAPEVINE_TOKEN: tokenInMemory } : {}
    const env = { ...this.#env, ...token, ...more }
    const child = spawn(process.execPath, [...node, main, ...args], { cwd: this.root, env, stdio: 'pipe', detached })
    this.#children.add(child)
    const pieces: Buffer[] = []
    const words: Buffer[] = []
    const stdout = onLine ? lines(onLine) : (piece: Buffer) => pieces.push(piece)
    child.stdout.on('data', stdout)
    child.stderr.on('data', (piece) => words.push(piece))
    // A reader that is killed leaves a broken pipe to whoever still writes to it.
    child.stdin.on('error', () => {})
    const output = () => Buffer.concat(pieces)
    const errors = () => Buffer.concat(words).toString()
    const ended = once(child, 'close').then(([code, signal]): CommandResult => {
      this.#children.delete(child)
      return { code: code ?? signal, stdout: output(), stderr: errors() }
    })
    const kill = async () => {
      child.kill('SIGKILL')
      await ended
    }
    return { pid: child.pid ?? 0, stdin: child.stdin, output, errors, ended, kill }
  }
}

/** The result, or an error with what the command said when it did not exit with 0. */
export async function ok(result: Promise<CommandResult>): Promise<CommandResult> {
  const { code, stdout, stderr } = await result
  if (code === 0) return { code, stdout, stderr }
  throw new Error(`exit ${code}: ${stderr.trim()}\n…${stdout.subarray(-200)}`)
}

function lines(onLine: (line: string) => void): (piece: Buffer) => void {
  let rest = ''
  return (piece) => {
    const parts = (rest + piece).split('\n')
    rest = parts.pop() ?? ''
    for (const part of parts) onLine(part)
  }
}
