/**
 * Runs seeds in a tree until one of them shows a violation. Each tree has a process of its own, so that a bug may also crash or
 * hang it: both count as caught, since a run that does so shows that something is wrong.
 */
import { spawn } from 'node:child_process'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import type { Wishes } from './mutant.ts'

export interface SeedVerdict {
  seed: number
  ok: boolean
  /** The first violation in words; empty where there is none. */
  text: string
}

/** No run takes so long; one that does will not end. */
const hangMs = 180_000

/** Runs seeds `from` to `to` in `folder`; resolves with the first that is not ok, or undefined. */
export async function hunt(
  folder: string,
  from: number,
  to: number,
  wishes: Wishes,
  onSeed: (verdict: SeedVerdict) => void = () => {},
): Promise<SeedVerdict | undefined> {
  const args = ['--no-warnings', join(folder, 'sim/mutant/seeds.ts'), String(from), String(to), wishes]
  const child = spawn(process.execPath, args, { cwd: folder, stdio: ['ignore', 'pipe', 'pipe'] })
  const gone = () => child.kill('SIGKILL')
  process.once('exit', gone)
  let words = ''
  child.stderr.on('data', (piece) => {
    words = `${words}${piece}`.slice(-4_000)
  })
  let next = from
  let hung = false
  let watch = setTimeout(() => {}, 0)
  const wait = () => {
    clearTimeout(watch)
    watch = setTimeout(() => {
      hung = true
      child.kill('SIGKILL')
    }, hangMs)
  }
  wait()
  try {
    for await (const line of createInterface({ input: child.stdout })) {
      wait()
      const verdict: SeedVerdict = JSON.parse(line)
      onSeed(verdict)
      next = verdict.seed + 1
      if (!verdict.ok) return verdict
    }
    if (next > to) return undefined
    const text = hung ? `the run hangs` : `the run crashes: ${reasonIn(words)}`
    return { seed: next, ok: false, text }
  } finally {
    clearTimeout(watch)
    process.off('exit', gone)
    child.kill('SIGKILL')
  }
}

/** The line of a stack trace that says what happened. */
function reasonIn(words: string): string {
  const lines = words.split('\n').filter((line) => line.trim() !== '')
  return (lines.find((line) => /^\w*(Error|Exception)\b/.test(line)) ?? lines.at(-1) ?? 'without a word').slice(0, 200)
}
