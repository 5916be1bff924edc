/**
 * The house rules that no linter knows: which room may import which, no cycles, clocks and randomness only through
 * `ports.ts`, no console in `node/`, `.run()` in every test file. Each breach is printed as file:line with the way out.
 */
import { globSync, readFileSync } from 'node:fs'
import { dirname, join, normalize } from 'node:path'
import * as assert from 'uvu/assert'
import { suite } from './helper/suite.ts'

const test = suite('tidy')
const root = join(import.meta.dirname, '..')

/** Rooms of `node/` from the ground up: a file may import its own room and every lower layer. */
const layers: string[][] = [
  ['wire', 'limits', 'errors', 'events', 'types', 'ports', 'version'],
  ['feed', 'store'],
  ['host', 'friends', 'presence'],
  ['gossip', 'sync'],
  ['topic'],
  ['group'],
  ['queue', 'mesh'],
  ['options', 'invite', 'peer'],
  ['gateway', 'metrics', 'tracing'],
  ['create'],
  ['index'],
]

/** Files outside `node/` use the peer through its door, the ports that a simulator replaces and what starts one on these, the simulator's door, and their own folder. */
const doors = ['node/index.ts', 'node/ports.ts', 'node/create.ts', 'sim/index.ts']

const ambient: [found: RegExp, instead: string][] = [
  [/\bDate\.now\(|\bnew Date\(\)|\bperformance\./, 'the clock of ports.ts, or the `now` that was handed in'],
  [/\bMath\.random\(|\brandomBytes\(|\brandomUUID\(|\bgetRandomValues\(/, 'the random of ports.ts'],
  [/\b(setTimeout|setInterval|setImmediate)\(|AbortSignal\.timeout\(|timers\/promises/, 'clock.after or clock.every'],
]
/** What reaches for the real ones on behalf of all others. */
const ambientAllowed = ['node/host/system.ts', 'node/store/disk.ts']
const purePolicies = ['policy.ts', 'scheduler.ts', 'chain.ts', 'judge.ts', 'slots.ts', 'members.ts', 'leases.ts']
purePolicies.push('quorum.ts', 'roster.ts', 'progress.ts', 'backlog.ts', 'ready.ts', 'duplicates.ts')
const impure: [found: RegExp, instead: string][] = [
  [/\bprocess\./, 'an argument'],
  [/\basync\b|\bawait\b/, 'effects returned to the caller'],
  [/from 'node:(fs|net|os|timers|process)/, 'an argument'],
]

interface Line {
  path: string
  number: number
  text: string
}
interface Import {
  from: string
  line: number
  to: string
  /** Erased when it runs: arrows count it, cycles do not. */
  typeOnly: boolean
}

const sources = globSync('{node,cli,sim,test}/**/*.ts', { cwd: root }).sort()
const textOf = new Map(sources.map((path) => [path, readFileSync(join(root, path), 'utf8')]))
const imports = sources.flatMap(importsOf)

function importsOf(path: string): Import[] {
  const text = textOf.get(path) ?? ''
  const pattern =
    /^[ \t]*(?:import|export)\b(?<what>[^'"]*?)\bfrom\s*'(?<a>[^']+)'|\bimport\(\s*'(?<b>[^']+)'\s*\)|^import '(?<c>[^']+)'/gm
  return [...text.matchAll(pattern)].map((match) => {
    const { what = '', a, b, c } = match.groups ?? {}
    const to = a ?? b ?? c ?? ''
    const line = text.slice(0, match.index).split('\n').length
    return {
      from: path,
      line,
      to: to.startsWith('.') ? normalize(join(dirname(path), to)) : to,
      typeOnly: /^\s*type\b/.test(what),
    }
  })
}

/** Lines of code; comments are blanked, since they may speak of anything. */
function codeOf(path: string): Line[] {
  const text = (textOf.get(path) ?? '')
    .replace(/\/\*[\s\S]*?\*\//g, (comment) => comment.replace(/[^\n]/g, ' '))
    .replace(/(^|\s)\/\/.*$/gm, '$1')
  return text.split('\n').map((text, at) => ({ path, number: at + 1, text }))
}

const isFile = (to: string) => textOf.has(to)
const roomOf = (path: string) => path.split('/')[1]?.replace(/\.ts$/, '') ?? ''
const layerOf = (room: string) => layers.findIndex((rooms) => rooms.includes(room))
const none = (breaches: string[]) => assert.is(breaches.length, 0, `\n${breaches.join('\n')}`)

function search(paths: string[], rules: [RegExp, string][]): string[] {
  return paths
    .flatMap(codeOf)
    .flatMap(({ path, number, text }) =>
      rules
        .filter(([found]) => found.test(text))
        .map(([, instead]) => `${path}:${number}: \`${text.trim()}\`: use ${instead}`),
    )
}

test('imports inside node/ point down', () => {
  none(
    imports
      .filter(({ from, to }) => from.startsWith('node/') && isFile(to) && to.startsWith('node/'))
      .filter(({ from, to }) => roomOf(from) !== roomOf(to) && layerOf(roomOf(to)) > layerOf(roomOf(from)))
      .map(({ from, line, to }) => `${from}:${line}: imports ${to}, which is above it: hand in what is needed`),
  )
})

test('every room of node/ has its place in the table of layers', () => {
  const rooms = new Set(sources.filter((path) => path.startsWith('node/')).map(roomOf))
  none([...rooms].filter((room) => layerOf(room) < 0).map((room) => `node/${room}: add it to test/tidy.test.ts`))
})

test('node/ imports nothing outside itself but packages, and nothing inside imports its door', () => {
  none(
    imports
      .filter(({ from }) => from.startsWith('node/'))
      .filter(
        ({ to }) => to === 'node/index.ts' || to.startsWith('..') || (/\.ts$/.test(to) && !to.startsWith('node/')),
      )
      .map(({ from, line, to }) => `${from}:${line}: imports ${to}: import the file in node/ that declares it`),
  )
})

test('cli and sim come in through the door', () => {
  none(
    imports
      .filter(({ from }) => /^(cli|sim)\//.test(from))
      .filter(({ from, to }) => isFile(to) && !doors.includes(to) && !to.startsWith(`${from.split('/')[0]}/`))
      .map(({ from, line, to }) => `${from}:${line}: imports ${to}: use ${doors.join(' or ')}`),
  )
})

test('every relative import names a file that exists', () => {
  none(
    imports
      .filter(({ to }) => /\.ts$/.test(to) && !to.startsWith('/') && !isFile(to))
      .map(({ from, line, to }) => `${from}:${line}: imports ${to}, which does not exist`),
  )
})

test('there is no import cycle', () => {
  const next = new Map<string, string[]>()
  for (const { from, to, typeOnly } of imports) {
    if (!typeOnly && isFile(to)) next.set(from, [...(next.get(from) ?? []), to])
  }
  const done = new Set<string>()
  const cycles: string[] = []
  const walk = (path: string, trail: string[]): void => {
    if (trail.includes(path)) cycles.push([...trail.slice(trail.indexOf(path)), path].join(' -> '))
    else if (!done.has(path)) for (const to of next.get(path) ?? []) walk(to, [...trail, path])
    done.add(path)
  }
  for (const path of sources) walk(path, [])
  none(cycles.map((cycle) => `${cycle}: move what both need into a file below them`))
})

test('node/ takes clock and randomness from its ports', () => {
  const paths = sources.filter(
    (path) => path.startsWith('node/') && !path.startsWith('node/gateway/') && !ambientAllowed.includes(path),
  )
  none(search(paths, ambient))
})

test('the pure policies have no clock, randomness, waiting or IO of their own', () => {
  const paths = sources.filter(
    (path) => path.startsWith('node/') && purePolicies.includes(path.split('/').at(-1) ?? ''),
  )
  none(search(paths, [...ambient, ...impure]))
})

test('what users run from source has no syntax that the oldest supported Node lacks', () => {
  const paths = sources.filter((path) => /^(node|cli|sim)\//.test(path) && !/^sim\/(bench|mutant)\//.test(path))
  none(search(paths, [[/^\s*(await )?using \w+ =/, 'try and finally: Node 22 does not know `using`']]))
})

test('node/ prints nothing', () => {
  const paths = sources.filter((path) => path.startsWith('node/'))
  none(search(paths, [[/\bconsole\.|process\.std(out|err)\b/, 'the log of ports.ts, or an event']]))
})

test('every test file runs its suite', () => {
  const paths = sources.filter((path) => path.endsWith('.test.ts'))
  none(
    paths.filter((path) => !/^test\.run\(\)$/m.test(textOf.get(path) ?? '')).map((path) => `${path}: add test.run()`),
  )
})

test.run()
