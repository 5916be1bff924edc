/** The files with which peers are deployed: they parse, and say what the command line and the metrics know. */
import { spawnSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import * as assert from 'uvu/assert'
import { parse, parseAllDocuments } from 'yaml'
import { grapevine } from '../../cli/program.ts'
import { createPeer } from '../../node/index.ts'
import { suite } from '../helper/suite.ts'

const test = suite('cli/deploy')

const folder = join(import.meta.dirname, '../../cli/deploy')
const read = (name: string) => readFileSync(join(folder, name), 'utf8')

/** Nothing of what it says is unknown to `grapevine up`. */
function isUp(args: readonly string[]): void {
  const [verb, ...rest] = args
  assert.is(verb, 'up')
  const up = grapevine().commands.find((command) => command.name() === 'up')
  const flags = up?.options.map(({ long }) => long)
  for (const arg of rest) if (arg.startsWith('--')) assert.ok(flags?.includes(arg), arg)
}

/** A Node that does not know them starts nothing. */
function areOptions(text: string | undefined): void {
  assert.ok(text?.startsWith('NODE_OPTIONS='), text)
  const env = { ...process.env, NODE_OPTIONS: text?.slice('NODE_OPTIONS='.length) }
  assert.is(spawnSync(process.execPath, ['--eval', ''], { env }).status, 0)
}

test('the container runs a peer that is told how it is', () => {
  const lines = read('Containerfile')
    .replaceAll('\\\n', ' ')
    .split('\n')
    .filter((line) => line !== '' && !line.startsWith('#'))
  const known = ['FROM', 'RUN', 'USER', 'ENV', 'VOLUME', 'EXPOSE', 'HEALTHCHECK', 'STOPSIGNAL', 'ENTRYPOINT', 'CMD']
  for (const line of lines) assert.ok(known.includes(line.split(' ')[0] ?? ''), line)
  const told = (word: string) => JSON.parse(lines.find((line) => line.startsWith(`${word} `))?.slice(word.length) ?? '')
  assert.equal(told('ENTRYPOINT'), ['grapevine'])
  isUp(told('CMD'))
  areOptions(lines.find((line) => line.startsWith('ENV '))?.slice('ENV '.length))
  const health: string[] = JSON.parse(
    lines.find((line) => line.startsWith('HEALTHCHECK'))?.replace(/.*? CMD /, '') ?? '',
  )
  assert.is(spawnSync(process.execPath, ['--check', '-'], { input: health[2] }).status, 0)
})

test('three peers are composed, which join by the name that they share', () => {
  const { services, volumes } = parse(read('compose.yaml'), { merge: true })
  assert.equal(Object.keys(services), ['peer-1', 'peer-2', 'peer-3'])
  for (const [name, service] of Object.entries<{ command: string[]; volumes: string[]; networks: object }>(services)) {
    isUp(service.command)
    assert.ok(service.command.includes('dns:grapevine'))
    assert.equal(service.volumes, [`${name}:/data`])
    assert.ok(name in volumes)
    assert.equal(service.networks, { mesh: { aliases: ['grapevine'] } })
  }
})

test('the stateful set joins by its headless service, and its probes are answered', () => {
  const documents = parseAllDocuments(read('kubernetes.yaml'))
  for (const { errors } of documents) assert.equal(errors, [])
  const [service, set, budget] = documents.map((document) => document.toJS())
  assert.equal([service.kind, set.kind, budget.kind], ['Service', 'StatefulSet', 'PodDisruptionBudget'])
  assert.is(service.spec.clusterIP, 'None')
  assert.is(set.spec.serviceName, service.metadata.name)
  assert.equal(set.spec.template.metadata.labels, service.spec.selector)
  const [peer] = set.spec.template.spec.containers
  isUp(peer.args)
  assert.ok(peer.args.includes(`dns:${service.metadata.name}`))
  assert.equal([peer.livenessProbe.httpGet.path, peer.readinessProbe.httpGet.path], ['/healthz', '/readyz'])
  assert.is(peer.volumeMounts[0].name, set.spec.volumeClaimTemplates[0].metadata.name)
})

test('the unit of systemd runs a peer', () => {
  const sections = new Map<string, string[]>()
  let section = ''
  for (const line of read('grapevine.service')
    .split('\n')
    .filter((each) => each !== '' && !each.startsWith('#'))) {
    const head = /^\[(\w+)\]$/.exec(line)?.[1]
    if (head !== undefined) {
      section = head
      continue
    }
    assert.match(line, /^[A-Z]\w+=.+$/)
    sections.set(section, [...(sections.get(section) ?? []), line])
  }
  assert.equal([...sections.keys()], ['Unit', 'Service', 'Install'])
  const service = sections.get('Service') ?? []
  const command = service
    .find((line) => line.startsWith('ExecStart='))
    ?.split(' ')
    .slice(2)
  isUp(command ?? [])
  areOptions(service.find((line) => line.includes('NODE_OPTIONS'))?.slice('Environment='.length))
})

test('the dashboard loads, and every metric that it names is told by a peer', async ({ use, dir }) => {
  const peer = use(await createPeer({ discover: false, data: dir() }))
  const [jobs, group] = [peer.queue<number>('jobs'), peer.topic<number>('orders').group('billing')]
  await jobs.send(1)
  await group.status()
  const told = await peer.metrics()
  const { panels } = JSON.parse(read('grafana.json')) as { panels: { title: string; targets: { expr: string }[] }[] }
  assert.ok(panels.length >= 10)
  for (const { title, targets } of panels)
    for (const { expr } of targets) {
      const names = expr.match(/\b(?:grapevine|process|nodejs)_\w+/g) ?? []
      assert.ok(names.length > 0, `${title}: ${expr}`)
      for (const name of names) assert.match(told, new RegExp(`^# TYPE ${name.replace(/_bucket$/, '')} `, 'm'), name)
    }
})

test.run()
