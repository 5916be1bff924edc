import { spawn } from 'node:child_process'
import { mkdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import * as assert from 'uvu/assert'
import { suite } from './helper/suite.ts'

const root = fileURLToPath(new URL('..', import.meta.url))
const flightsFile = join(root, 'node_modules/vega-datasets/data/flights-200k.json')
const text = await readFile(join(root, 'README.md'), 'utf8')
const blocks = [...text.matchAll(/^```(ts|sh)\n(.*?)^```/gms)].map((match) => ({
  kind: match[1] as 'ts' | 'sh',
  code: match[2] as string,
  endLine: text.slice(0, match.index + match[0].length).split('\n').length,
}))
const programs = blocks.filter((block) => block.kind === 'ts')
const sessions = blocks.filter((block) => block.kind === 'sh')

const test = suite('readme')

/** Runs a command in an empty folder where only its own peers are found; resolves with what it printed. */
async function run(
  folder: string,
  command: string,
  args: string[],
): Promise<{ code: number | null; out: string; err: string }> {
  const [runtime, data] = [join(folder, 'runtime'), join(folder, 'data')]
  for (const made of [runtime, data]) await mkdir(made, { mode: 0o700 })
  const env = { ...process.env, XDG_RUNTIME_DIR: runtime, XDG_DATA_HOME: data, HOME: folder }
  const child = spawn(command, args, { cwd: folder, env, stdio: ['ignore', 'pipe', 'pipe'] })
  let [out, err] = ['', '']
  child.stdout.on('data', (chunk) => {
    out += chunk
  })
  child.stderr.on('data', (chunk) => {
    err += chunk
  })
  const code = await new Promise<number | null>((resolve) => child.once('close', resolve))
  return { code, out, err }
}

/** A program of the README, as a file that runs from anywhere. */
async function programFile(folder: string, code: string): Promise<string> {
  const file = join(folder, 'program.ts')
  const places = {
    grapevine: join(root, 'node/index.ts'),
    'grapevine/sim': join(root, 'sim/index.ts'),
    ...Object.fromEntries(['it-pipe', 'uvu', 'uvu/assert'].map((name) => [name, import.meta.resolve(name)])),
  }
  await writeFile(
    file,
    code.replace(/(?<=from )'([^'.]+)'/g, (_, name: keyof typeof places) => JSON.stringify(places[name])),
  )
  return file
}

test('the first program stands before line 20, and two peers pass a record', async ({ dir }) => {
  const [first] = programs
  assert.ok(first !== undefined && first.endLine <= 20, `it ends on line ${first?.endLine}`)
  const folder = dir()
  const { code, out, err } = await run(folder, process.execPath, [await programFile(folder, first.code)])
  assert.is(code, 0, err)
  assert.match(out, /stored here and by 1 other peer\n\{ id: 1 \} from 12D3KooW/)
})

test('the test of a program finds its bug under a partition, and passes once it is mended', async ({ dir }) => {
  const { code: program = '' } = programs.find(({ code }) => code.includes('grapevine/sim')) ?? {}
  const [folder, mendedFolder] = [dir(), dir()]
  const found = await run(folder, process.execPath, [await programFile(folder, program)])
  assert.is(found.code, 1, found.err)
  assert.match(found.out, 'FAIL  "all shops agree on a price that was changed on both sides of a partition"')
  const [, mend = ''] = text.match(/The mend: `(.*)`/) ?? []
  const mended = program.replace(/^ *prices\.set.*the bug.*$/m, mend)
  assert.is.not(mended, program)
  const passed = await run(mendedFolder, process.execPath, [await programFile(mendedFolder, mended)])
  assert.is(passed.code, 0, passed.out)
})

for (const [at, { code: program }] of programs.slice(1).entries()) {
  if (program.includes('grapevine/sim')) continue
  test(`program ${at + 2} runs`, async ({ dir }) => {
    const folder = dir()
    const { code, err } = await run(folder, process.execPath, [await programFile(folder, program)])
    assert.is(code, 0, err)
  })
}

/** Runs a session in an empty folder beside the peer of the README's first one. */
async function play(folder: string, session: string): Promise<{ out: string; err: string }> {
  const command = join(folder, 'grapevine')
  await writeFile(command, `#!/bin/sh\nexec '${process.execPath}' '${join(root, 'cli/main.ts')}' "$@"\n`, {
    mode: 0o755,
  })
  const script = `
    PATH="${folder}:$PATH"
    trap 'kill $(jobs -p); wait' EXIT
    ${sessionOf('grapevine up ')} &
    until test -f "$XDG_DATA_HOME/grapevine/default/peer.json"; do sleep 0.1; done
    ${session}
  `
  return run(folder, 'bash', ['-c', script])
}

/** The first session with these words, without its comments. */
function sessionOf(words: string): string {
  return (sessions.find(({ code }) => code.includes(words))?.code ?? '').replace(/ #.*$/gm, '').trim()
}

test(
  'the first session at the command line does what it says',
  async ({ dir }) => {
    const session = sessionOf('grapevine friends').replace(
      'grapevine friends',
      'until grapevine friends | grep 12D3KooW; do sleep 0.2; done',
    )
    const { out, err } = await play(dir(), session)
    assert.match(out, /12D3KooW/, err)
    assert.match(out, /one\ntwo\nthree\n/, err)
  },
  { deadlineMs: 60_000 },
)

test(
  'what watches a peer is there: its page, its mesh in the terminal, its health, its API',
  async ({ dir }) => {
    const session = sessionOf('grapevine open')
      .replace('grapevine open', 'grapevine open --print')
      .replace('grapevine top', 'grapevine top --once')
      .replace('grapevine demo --seconds 60', 'grapevine demo --seconds 1 --peers 2')
      .replace(
        'grapevine up --monitor 0.0.0.0:9464',
        'grapevine up --ephemeral --monitor 127.0.0.1:0 --json > up.txt &',
      )
    const at = '$XDG_DATA_HOME/grapevine/default'
    const api = `$(sed -E 's/.*"api": *"([^"]*)".*/\\1/' ${at}/peer.json)`
    const asking = sessionOf('/v1/records').replace('DIR', at).replace("'http://127.0.0.1:PORT", `"http://${api}`)
    const { out, err } = await play(
      dir(),
      `${session}
      until grep monitor up.txt; do sleep 0.1; done
      grapevine pub orders one
      ${asking.replace(/'$/, '"')}`,
    )
    assert.match(out, /^http:\/\/127\.0\.0\.1:\d+\/#/m, err)
    assert.match(out, /^PEER +ROLE/m, err)
    assert.match(out, /^Nothing is wrong\.|alone/m, err)
    assert.match(err, /lost 0/)
    assert.match(out, /"monitor":"127\.0\.0\.1:\d+"/, err)
    assert.match(out, /"records":\[\{"value":"one"/, err)
  },
  { deadlineMs: 120_000 },
)

/** All of them: GRAPEVINE_SOAK=1 (some ten minutes, a process each). */
const flightCount = process.env.GRAPEVINE_SOAK === undefined ? 1_000 : 200_000

test(
  'two processes at the command line run a command for each flight of a file',
  async ({ dir }) => {
    const folder = dir()
    const flights: object[] = JSON.parse(await readFile(flightsFile, 'utf8')).slice(0, flightCount)
    // Some flights are alike.
    const lines = flights.map((flight, at) => JSON.stringify({ at, ...flight }))
    await writeFile(join(folder, 'flights.json'), `${lines.join('\n')}\n`)
    const { out, err } = await play(folder, sessionOf('grapevine consume'))
    const done = (await readFile(join(folder, 'done.txt'), 'utf8')).trimEnd().split('\n')
    const values = done.map((line) => line.slice(2))
    assert.equal(values.sort(), lines.sort(), err)
    const shares = ['A', 'B'].map((by) => done.filter((line) => line.startsWith(by)).length)
    assert.ok(
      shares.every((share) => share > flightCount / 10),
      `shares ${shares}`,
    )
    assert.match(out, new RegExp(`^ *${flightCount}\n`, 'm'))
    assert.match(out, /flights +work +shared +\d +\d+\/64 +0 /)
  },
  { deadlineMs: 120_000 + flightCount * 10 },
)

test.run()
