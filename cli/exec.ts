/** A command that deals with one value: through the shell, with the value on its stdin. */
import { spawn } from 'node:child_process'
import { constants } from 'node:os'

export interface Ended {
  /** What it wrote, where that was asked for. */
  output: Buffer
  /** As a shell has it: 128 and the signal's number where a signal ended it. */
  exitCode: number
  ms: number
}

export interface ExecOptions {
  value: Uint8Array
  /** Beyond those of this process; undefined takes one away. */
  env: Record<string, string | undefined>
  /** Where its stdout goes: ours, or our stderr where stdout is kept for JSON, or into `output`. */
  stdout: 'stdout' | 'stderr' | 'output'
}

const places = { stdout: 1, stderr: 2, output: 'pipe' } as const

/** Running ones: they end with this process, whatever ends it. */
const running = new Set<number>()
process.once('exit', () => {
  for (const pid of running) kill(pid)
})

/**
 * Resolves when the command has ended. It is in a process group of its own, so that a Ctrl-C at the terminal is for us alone. Rejects where it
 * cannot be started.
 */
export async function exec(command: string, { value, env, stdout }: ExecOptions): Promise<Ended> {
  const began = performance.now()
  const child = spawn(command, {
    shell: true,
    detached: true,
    env: { ...process.env, ...env },
    stdio: ['pipe', places[stdout], 2],
  })
  const { pid = 0 } = child
  if (pid > 0) running.add(pid)
  // A command need not read what it is given.
  child.stdin?.on('error', () => {})
  child.stdin?.end(value)
  const output: Buffer[] = []
  child.stdout?.on('data', (chunk: Buffer) => output.push(chunk))
  try {
    return await new Promise((resolve, reject) => {
      child.once('error', reject)
      child.once('close', (code, signal) => {
        const exitCode = code ?? 128 + (signal === null ? 0 : constants.signals[signal])
        resolve({ exitCode, ms: Math.round(performance.now() - began), output: Buffer.concat(output) })
      })
    })
  } finally {
    running.delete(pid)
  }
}

/** With all that it has started. */
function kill(pid: number): void {
  try {
    process.kill(-pid, 'SIGKILL')
  } catch {
    // It has ended in this moment.
  }
}
