/**
 * `npm test`: types, lint, unused code, and every test file in a process of its own, two at a time.
 * `npm test -- test/store` runs one room (or file) and no checks. A file passes when it exits with 0 and each
 * test it declared has passed, one at the least: exit codes alone are not believed (see helper/suite.ts).
 */
import { spawn } from 'node:child_process'
import { globSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, relative, resolve } from 'node:path'
import type { TestReport } from './helper/suite.ts'

interface Outcome {
  passed: number
  skipped: number
  /** A line for each failure. */
  failures: string[]
  output: string
}

interface Job {
  name: string
  run(): Promise<Outcome>
}

/** npm runs scripts in the package's folder; helper/suite.test.ts runs this in folders of its own. */
const root = process.cwd()
const atOnce = 2
/** Every test file is a process, and so is every peer of many tests: each would compile the same modules once more. */
process.env.NODE_COMPILE_CACHE ??= join(tmpdir(), 'node-compile-cache')
/** As `cli/main.ts` sets: processes of other flags take turns in throwing away what the others have compiled. */
const flags = ['--heap-growing-percent=300']
/** `npm run soak` has tests of ten minutes each. */
const fileMsMax = process.env.GRAPEVINE_SOAK ? 2_400_000 : 300_000

/** Started first, so that the end of the run does not wait for them alone. */
const longest = ['test/process/', 'test/sim/run', 'test/cli/command', 'test/pack', 'test/peer/', 'test/readme']

const checks: Job[] = [
  check('types', 'node_modules/typescript/bin/tsc', ['--noEmit']),
  check('types of the page', 'node_modules/typescript/bin/tsc', ['--noEmit', '-p', 'node/gateway/page']),
  check('lint', 'node_modules/@biomejs/biome/bin/biome', ['check', '.']),
  check('unused code', 'node_modules/knip/bin/knip.js', []),
]

function check(name: string, script: string, args: string[]): Job {
  return {
    name,
    async run() {
      const { code, output } = await node([script, ...args])
      return code === 0
        ? { passed: 1, skipped: 0, failures: [], output: '' }
        : { passed: 0, skipped: 0, failures: [`${name} (exit ${code})`], output }
    },
  }
}

function testFile(path: string): Job {
  return {
    name: path,
    async run() {
      const report = join(reports, path.replaceAll('/', '-'))
      const { code, output } = await node([...flags, path], { GRAPEVINE_TEST_REPORT: report })
      return judge(path, code, output, linesOf(report))
    },
  }
}

function judge(path: string, code: number | string, output: string, lines: TestReport[]): Outcome {
  const named = (type: TestReport['type']) => lines.filter((line) => line.type === type).map((line) => line.name)
  const declared = named('declared')
  const passed = named('passed')
  const failed = named('failed')
  const ended = new Set([...passed, ...failed])
  const started = named('started')
  const failures = failed.map((name) => `${path} ${name}`)

  for (const name of started.filter((name) => !ended.has(name))) failures.push(`${path} ${name} (never ended)`)
  const idle = declared.filter((name) => !started.includes(name))
  if (idle.length > 0) failures.push(`${path}: ${idle.length} of its tests never started (is .run() called?)`)
  if (new Set(declared).size < declared.length) failures.push(`${path}: two tests have one name`)
  if (declared.length + named('skipped').length === 0) failures.push(`${path}: declares no test`)
  if (named('lingers').length > 0) failures.push(`${path}: left something running after its last test`)
  if (code !== 0 && failures.length === 0) failures.push(`${path}: exit ${code}`)
  return { passed: passed.length, skipped: named('skipped').length, failures, output }
}

function linesOf(report: string): TestReport[] {
  try {
    return readFileSync(report, 'utf8')
      .split('\n')
      .filter(Boolean)
      .map((line) => JSON.parse(line))
  } catch {
    return []
  }
}

/** Runs this very Node; the code is a number, or in words why there is none. */
function node(args: string[], env: Record<string, string> = {}): Promise<{ code: number | string; output: string }> {
  return new Promise((resolve) => {
    const child = spawn(process.execPath, args, {
      cwd: root,
      env: { ...process.env, ...env },
      stdio: ['ignore', 'pipe', 'pipe'],
      detached: true,
    })
    const pieces: Buffer[] = []
    let why = ''
    const timer = setTimeout(() => {
      why = `after ${fileMsMax} ms it was ended`
      killGroup(child.pid)
    }, fileMsMax)
    child.stdout.on('data', (piece) => pieces.push(piece))
    child.stderr.on('data', (piece) => pieces.push(piece))
    child.on('error', (error) => resolve({ code: error.message, output: '' }))
    child.on('exit', () => killGroup(child.pid))
    child.on('close', (code, signal) => {
      clearTimeout(timer)
      resolve({ code: why || (code ?? String(signal)), output: Buffer.concat(pieces).toString() })
    })
  })
}

/** A child leads a process group of its own, so that whatever a test started ends with it. */
function killGroup(pid: number | undefined): void {
  try {
    if (pid) process.kill(-pid, 'SIGKILL')
  } catch {
    // The group has ended by itself, as it should.
  }
}

function jobsOf(only: string[]): Job[] {
  const all = globSync('test/**/*.test.ts', { cwd: root }).sort()
  const wanted = only.map((path) => relative(root, resolve(path)))
  const rank = (path: string) => {
    const place = longest.findIndex((start) => path.startsWith(start))
    return place < 0 ? longest.length : place
  }
  const files = all
    .filter((path) => wanted.length === 0 || wanted.some((start) => path === start || path.startsWith(`${start}/`)))
    .sort((a, b) => rank(a) - rank(b))
  return [...(wanted.length === 0 ? checks : []), ...files.map(testFile)]
}

async function worker(queue: Job[], ended: Outcome[]): Promise<void> {
  for (let job = queue.shift(); job; job = queue.shift()) {
    const start = performance.now()
    const outcome = await job.run()
    const seconds = ((performance.now() - start) / 1000).toFixed(1)
    const counts = `${outcome.passed} passed${outcome.failures.length > 0 ? `, ${outcome.failures.length} FAILED` : ''}`
    console.log(`${job.name.padEnd(44)} ${counts} in ${seconds} s`)
    if (outcome.failures.length > 0) console.log(outcome.output.trimEnd())
    for (const line of outcome.output.split('\n')) {
      if (outcome.failures.length === 0 && line.startsWith('skipped  ')) console.log(line)
    }
    ended.push(outcome)
  }
}

const reports = mkdtempSync(join(tmpdir(), 'grapevine-run-'))
process.on('exit', () => rmSync(reports, { recursive: true, force: true }))

const queue = jobsOf(process.argv.slice(2))
const ended: Outcome[] = []
await Promise.all(Array.from({ length: atOnce }, () => worker(queue, ended)))

const failures = ended.flatMap((outcome) => outcome.failures)
const passed = ended.reduce((sum, outcome) => sum + outcome.passed, 0)
const skipped = ended.reduce((sum, outcome) => sum + outcome.skipped, 0)
if (failures.length > 0) console.log(`\nFailed:\n${failures.map((line) => `  ${line}`).join('\n')}`)
if (passed === 0) console.log('\nNo test ran.')
console.log(`\n${passed} passed, ${failures.length} failed${skipped > 0 ? `, ${skipped} skipped` : ''}`)
process.exitCode = failures.length > 0 || passed === 0 ? 1 : 0
