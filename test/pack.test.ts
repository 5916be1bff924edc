/** The package as a user gets it: packed, installed in an empty folder, and run without TypeScript by each Node we promise. */
import { spawnSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import * as assert from 'uvu/assert'
import { suite } from './helper/suite.ts'

const test = suite('pack')
const root = join(import.meta.dirname, '..')
/** The oldest that `engines` in package.json allows. */
const oldest = '22.18.0'

const work = mkdtempSync(join(tmpdir(), 'grapevine-pack-'))
process.on('exit', () => rmSync(work, { recursive: true, force: true }))
const home = folder('home')

function folder(name: string): string {
  const path = join(work, name)
  mkdirSync(path, { recursive: true })
  return path
}

function run(command: string, args: string[], { cwd = home, node = process.execPath } = {}) {
  const env = { ...process.env, PATH: `${dirname(node)}:${process.env.PATH}`, XDG_DATA_HOME: home }
  const { status, stdout, stderr, error } = spawnSync(command, args, { cwd, env, encoding: 'utf8', timeout: 120_000 })
  return { status, stdout, all: `${command} ${args.join(' ')}\n${stdout}${stderr}${error ?? ''}` }
}

/** Node's own platform packages on the registry are the binary and nothing else. */
function oldestNode(): string | undefined {
  const platform = process.platform === 'win32' ? 'win' : process.platform
  const cwd = folder('node')
  writeFileSync(join(cwd, 'package.json'), '{}')
  const name = `node-${platform}-${process.arch}`
  const { status } = run('npm', ['install', '--no-save', '--prefer-offline', `${name}@${oldest}`], { cwd })
  return status === 0 ? join(cwd, 'node_modules', name, 'bin', 'node') : undefined
}

const user = folder('user')
const program = `
import { createPeer } from 'grapevine'
const peer = await createPeer({ discover: false })
const topic = peer.topic('hello')
const subscription = topic.subscribe({ from: 'earliest' })
await topic.publish({ from: process.version })
for await (const { value } of subscription) {
  console.log('heard', value.from)
  break
}
await peer.drain()
await peer.close()
`
const simulation = `
import { simulate } from 'grapevine/sim'
await simulate({ peers: 2 }, async ({ peers: [a, b] }) => {
  await a.publish('hello', process.version)
  console.log('simulated', (await b.read('hello'))[0].value)
})
`

test(
  'it packs and installs in an empty folder',
  () => {
    const packed = run('npm', ['pack', '--pack-destination', work], { cwd: root })
    assert.is(packed.status, 0, packed.all)
    const tarball = readdirSync(work).find((name) => name.endsWith('.tgz')) ?? ''
    writeFileSync(join(user, 'package.json'), '{"type":"module"}')
    writeFileSync(join(user, 'program.js'), program)
    writeFileSync(join(user, 'simulation.js'), simulation)
    const installed = run('npm', ['install', '--prefer-offline', join(work, tarball)], { cwd: user })
    assert.is(installed.status, 0, installed.all)
    const typescript = readdirSync(join(user, 'node_modules/grapevine'), { recursive: true, encoding: 'utf8' }).filter(
      (path) => /(?<!\.d)\.ts$/.test(path) || path.startsWith('test'),
    )
    assert.equal(typescript, [])
  },
  { deadlineMs: 180_000 },
)

const missing = `no Node ${oldest} for this platform from the registry`
for (const [version, node] of [
  [process.version, process.execPath],
  [`v${oldest}`, oldestNode()],
] as const) {
  const commandRuns = `the command runs on Node ${version}`
  const importWorks = `import { createPeer } from 'grapevine', and of 'grapevine/sim', work on Node ${version}`
  if (!node) {
    test.skip(commandRuns, missing)
    test.skip(importWorks, missing)
    continue
  }
  test(commandRuns, () => {
    const help = run(join(user, 'node_modules/.bin/grapevine'), ['--help'], { node })
    assert.is(help.status, 0, help.all)
    assert.match(help.stdout, 'Usage: grapevine')
    assert.is(help.all.includes('Warning'), false, help.all)
  })
  test(
    importWorks,
    () => {
      const heard = run(node, ['program.js'], { cwd: user, node })
      assert.is(heard.status, 0, heard.all)
      assert.is(heard.stdout, `heard ${version}\n`, heard.all)
      const simulated = run(node, ['simulation.js'], { cwd: user, node })
      assert.is(simulated.stdout, `simulated ${version}\n`, simulated.all)
    },
    { deadlineMs: 60_000 },
  )
}

test(
  'its types are found by a program in TypeScript',
  () => {
    const code = `import { createPeer, type Receipt } from 'grapevine'
import { simulate } from 'grapevine/sim'
export const simulated: Promise<number> = simulate({ peers: 2 }, async ({ peers: [, b] }) => (await b.friends()).length)
// @ts-expect-error: there is no third peer
simulate({ peers: 2 }, async ({ peers: [, , c] }) => c.name)
export async function say(): Promise<Receipt> {
  await using peer = await createPeer({ data: null, keep: 3 })
  return peer.topic<{ a: number }>('hello').publish({ a: 1 }, { key: 'k' })
}
// @ts-expect-error: options are typed
createPeer({ keep: 'three' })
`
    writeFileSync(join(user, 'program.ts'), code)
    const flags = [
      '--noEmit',
      '--strict',
      '--module',
      'nodenext',
      '--target',
      'es2024',
      '--lib',
      'es2024,esnext.disposable',
    ]
    const types = ['--skipLibCheck', '--types', 'node', '--typeRoots', join(root, 'node_modules/@types')]
    const args = [join(root, 'node_modules/typescript/bin/tsc'), ...flags, ...types, '--ignoreConfig', 'program.ts']
    const checked = run(process.execPath, args, { cwd: user })
    assert.is(checked.status, 0, checked.all)
  },
  { deadlineMs: 60_000 },
)

test('an older Node is told in words what it needs', () => {
  const older = 'Object.defineProperty(process.versions,"node",{value:"20.20.2"})'
  const main = join(user, 'node_modules/grapevine/dist/cli/main.js')
  const refused = run(process.execPath, ['--import', `data:text/javascript,${older}`, main, 'up'])
  assert.is(refused.status, 1, refused.all)
  assert.match(refused.all, 'needs Node 22.18 or newer')
})

test.run()
