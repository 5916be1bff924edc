/** The mesh as a drawing that moves, and as a table that says the same. */
import { type Signal, useSignal } from '@preact/signals'
import ForceGraph from 'force-graph'
import { useEffect, useRef } from 'preact/hooks'
import { Empty, Table } from './parts.tsx'
import { mesh, meshEveryMs, type SeenPeer, status } from './state.ts'
import { bytes, count, ms, shortId, since } from './text.ts'

interface Node {
  id: string
  peer: SeenPeer
  x?: number
  y?: number
}

interface Link {
  source: string | Node
  target: string | Node
  /** The way back along a line that is drawn already. */
  isBack: boolean
  rttMs: number | undefined
  /** Batches that have come this way. */
  batches: number
}

/** More would hide what they travel along. */
const dropsMax = 6
/** Beyond, names are only told where one points or comes near. */
const namedMax = 60
/** How long a line is: a few peers would else fill little of the sheet, and hundreds far more than it. */
const lineMax = 170
const lineMin = 60
const lineSum = 1_700
const fitAfterMs = [100, 700, 1_500]

export function Mesh() {
  const chosen = useSignal<string | undefined>(undefined)
  const carried = useSignal('')
  const peers = mesh.value
  const friendships = peers.reduce((sum, { friends }) => sum + friends.length, 0) / 2
  const peer = peers.find(({ id }) => id === chosen.value)
  const names = [...new Set(peers.flatMap((each) => each.topics.map(({ name }) => name)))].sort()
  return (
    <div class="mesh">
      <div class="bar">
        <h1>Mesh</h1>
        <p>
          <strong data-testid="peers">{count(peers.length)}</strong> peers,{' '}
          <strong data-testid="friendships">{count(friendships)}</strong> friendships
        </p>
        <label>
          Who carries{' '}
          <select value={carried.value} onChange={(event) => (carried.value = event.currentTarget.value)}>
            <option value="">any topic</option>
            {names.map((name) => (
              <option key={name}>{name}</option>
            ))}
          </select>
        </label>
      </div>
      <div class="sheet">
        {peers.length === 0 ? <Empty>Asking the mesh…</Empty> : <Drawing chosen={chosen} carried={carried} />}
        {peer === undefined ? <Legend /> : <Card peer={peer} onClose={() => (chosen.value = undefined)} />}
      </div>
      <Table label="Peers" heads={['Peer', 'Role', 'Running for', 'Friends', 'Topics', 'Stored', 'Sent', 'Received']}>
        {peers.map((each) => (
          <tr key={each.id} class={each.missed > 0 ? 'missed' : ''}>
            <th scope="row">
              <button type="button" class="link" onClick={() => (chosen.value = each.id)}>
                {shortId(each.id)}
              </button>
              {each.id === status.value?.id && <small> this peer</small>}
            </th>
            <td>{each.role}</td>
            <td>{since(each.since)}</td>
            <td>{each.friends.length}</td>
            <td>{each.topicCount}</td>
            <td>{bytes(each.bytes.stored)}</td>
            <td>{bytes(each.bytes.sent)}</td>
            <td>{bytes(each.bytes.received)}</td>
          </tr>
        ))}
      </Table>
    </div>
  )
}

function Legend() {
  return (
    <aside>
      <h2>What is drawn</h2>
      <ul class="legend">
        <li class="self">this peer</li>
        <li class="peer">a peer</li>
        <li class="guest">a guest, which keeps nothing for others</li>
        <li class="carrier">carries the topic that is chosen above</li>
        <li class="drop">batches on their way: each goes where it was first</li>
      </ul>
      <p>Choose a peer to see whom it knows and what would be lost with it.</p>
    </aside>
  )
}

function Card({ peer, onClose }: { peer: SeenPeer; onClose: () => void }) {
  const all = mesh.value
  const copiesOf = (name: string) =>
    all.filter((each) => each.topics.some((topic) => topic.name === name && topic.held === 'carry')).length
  return (
    <aside aria-label={`Peer ${shortId(peer.id)}`}>
      <button type="button" class="close" onClick={onClose} aria-label="Close">
        ×
      </button>
      <h2>{shortId(peer.id)}</h2>
      <p class="whole">{peer.id}</p>
      <dl>
        <dt>Version</dt>
        <dd>{peer.version}</dd>
        <dt>Running for</dt>
        <dd>{since(peer.since)}</dd>
        {peer.addresses.map((address) => [<dt key={`${address} is`}>Address</dt>, <dd key={address}>{address}</dd>])}
      </dl>
      <h3>Friends</h3>
      <ul>
        {peer.friends.map(({ id, rttMs, batches }) => (
          <li key={id}>
            {shortId(id)} <small>{`${ms(rttMs)} away, brought ${count(batches)} batches`}</small>
          </li>
        ))}
      </ul>
      <h3>If it died now</h3>
      {peer.topics.length === 0 && <p>Nothing would be lost: it holds nothing.</p>}
      <ul>
        {peer.topics.map(({ name, records }) => {
          const copies = copiesOf(name) - 1
          return (
            <li key={name} class={copies === 0 && records > 0 ? 'danger' : ''}>
              {name}{' '}
              <small>
                {copies === 0
                  ? `${count(records)} records are nowhere else`
                  : `${copies} ${copies === 1 ? 'other has' : 'others have'} it`}
              </small>
            </li>
          )
        })}
      </ul>
    </aside>
  )
}

interface DrawingProps {
  chosen: Signal<string | undefined>
  carried: Signal<string>
}

function Drawing({ chosen, carried }: DrawingProps) {
  const place = useRef<HTMLDivElement>(null)
  useEffect(() => {
    if (place.current === null) return
    const drawn = new Drawn(place.current, (id) => {
      chosen.value = id
    })
    const offs = [
      mesh.subscribe((peers) => drawn.show(peers)),
      chosen.subscribe((id) => drawn.choose(id)),
      carried.subscribe((topic) => drawn.light(topic)),
    ]
    return () => {
      for (const off of offs) off()
      drawn.end()
    }
  }, [chosen, carried])
  return (
    <div
      class="drawing"
      ref={place}
      role="img"
      aria-label={`${mesh.value.length} peers and their friendships; the table below says the same`}
    />
  )
}

/** The library's drawing, and what changes in it. */
class Drawn {
  readonly #graph: ForceGraph<Node, Link>
  readonly #place: HTMLElement
  readonly #resize: ResizeObserver
  readonly #nodes = new Map<string, Node>()
  readonly #links = new Map<string, Link>()
  /** Drops to come, and fittings. */
  readonly #drops = new Set<ReturnType<typeof setTimeout>>()
  #colors = colorsOf(document.documentElement)
  #chosen: string | undefined
  #carried = ''
  #isFitted = false

  constructor(place: HTMLElement, onChoose: (id: string | undefined) => void) {
    this.#place = place
    this.#graph = new ForceGraph<Node, Link>(place)
      .nodeLabel(({ peer }) => `${peer.id}, ${peer.friends.length} friends`)
      .linkLabel(({ rttMs }) => ms(rttMs))
      .nodeCanvasObject((node, context, scale) => this.#paint(node, context, scale))
      .nodePointerAreaPaint((node, color, context) => {
        context.fillStyle = color
        context.beginPath()
        context.arc(node.x ?? 0, node.y ?? 0, 9, 0, 2 * Math.PI)
        context.fill()
      })
      .linkColor(({ isBack }) => (isBack ? 'rgba(0,0,0,0)' : this.#colors.line))
      .linkWidth(({ isBack }) => (isBack ? 0 : 1))
      .linkDirectionalParticleColor(() => this.#colors.drop)
      .linkDirectionalParticleWidth(4)
      .linkDirectionalParticleSpeed(0.02)
      // Few peers would fill the sheet otherwise.
      .maxZoom(2)
      .onNodeClick(({ id }) => onChoose(id))
      .onBackgroundClick(() => onChoose(undefined))
      .cooldownTime(4_000)
      .onEngineStop(() => this.#fit())
    this.#graph.d3Force('charge')?.strength?.(-160)
    this.#resize = new ResizeObserver(() => this.#size())
    this.#resize.observe(place)
    this.#size()
    matchMedia('(prefers-color-scheme: dark)').addEventListener('change', this.#recolor)
    addEventListener('theme', this.#recolor)
  }

  show(peers: readonly SeenPeer[]): void {
    const before = [...this.#nodes.keys(), ...this.#links.keys()].join()
    const here = new Set<string>(peers.map(({ id }) => id))
    for (const id of this.#nodes.keys()) if (!here.has(id)) this.#nodes.delete(id)
    for (const peer of peers) {
      const node = this.#nodes.get(peer.id) ?? { id: peer.id, peer }
      node.peer = peer
      this.#nodes.set(peer.id, node)
    }
    const kept = new Set<string>()
    for (const { id, friends } of peers)
      for (const friend of friends) {
        if (!here.has(friend.id)) continue
        const key = `${friend.id} ${id}`
        kept.add(key)
        kept.add(`${id} ${friend.id}`)
        const link = this.#linkOf(friend.id, id)
        this.#linkOf(id, friend.id)
        const came = friend.batches - link.batches
        if (came > 0 && link.batches >= 0) this.#travel(link, came)
        link.batches = friend.batches
        link.rttMs = friend.rttMs
      }
    for (const key of this.#links.keys()) if (!kept.has(key)) this.#links.delete(key)
    if ([...this.#nodes.keys(), ...this.#links.keys()].join() === before) return
    this.#isFitted = false
    this.#fitSoon()
    this.#graph.d3Force('link')?.distance?.(Math.max(lineMin, Math.min(lineMax, lineSum / this.#nodes.size)))
    this.#graph.graphData({ nodes: [...this.#nodes.values()], links: [...this.#links.values()] })
  }

  choose(id: string | undefined): void {
    this.#chosen = id
  }

  light(topic: string): void {
    this.#carried = topic
  }

  end(): void {
    this.#resize.disconnect()
    matchMedia('(prefers-color-scheme: dark)').removeEventListener('change', this.#recolor)
    removeEventListener('theme', this.#recolor)
    for (const drop of this.#drops) clearTimeout(drop)
    this.#graph._destructor()
  }

  #linkOf(from: string, to: string): Link {
    const key = `${from} ${to}`
    const known = this.#links.get(key)
    if (known !== undefined) return known
    const link = { source: from, target: to, isBack: this.#links.has(`${to} ${from}`), rttMs: undefined, batches: -1 }
    this.#links.set(key, link)
    return link
  }

  /** As many drops as came, spread over the time until we ask again. */
  #travel(link: Link, came: number): void {
    // Of whoever wants nothing to move, the drawing rests once it is made.
    if (matchMedia('(prefers-reduced-motion: reduce)').matches) return
    const drops = Math.min(came, dropsMax)
    for (let i = 0; i < drops; i++) {
      const drop = setTimeout(
        () => {
          this.#drops.delete(drop)
          if (typeof link.source === 'object') this.#graph.emitParticle(link)
        },
        (i * meshEveryMs) / drops,
      )
      this.#drops.add(drop)
    }
  }

  #paint({ id, peer, x = 0, y = 0 }: Node, context: CanvasRenderingContext2D, scale: number): void {
    const { colors, isNamed } = { colors: this.#colors, isNamed: this.#nodes.size <= namedMax || scale > 2 }
    const isSelf = id === status.value?.id
    const carries =
      this.#carried !== '' && peer.topics.some(({ name, held }) => name === this.#carried && held === 'carry')
    context.globalAlpha = peer.missed > 0 ? 0.35 : 1
    context.beginPath()
    // Of hundreds each is small, and still to be seen.
    const radius = Math.max(peer.role === 'guest' ? 4 : 7, (isSelf ? 5 : 3) / scale)
    context.arc(x, y, radius, 0, 2 * Math.PI)
    context.fillStyle = carries
      ? colors.carrier
      : isSelf
        ? colors.self
        : peer.role === 'guest'
          ? colors.guest
          : colors.peer
    context.fill()
    if (id === this.#chosen) {
      context.lineWidth = 2.5 / scale
      context.strokeStyle = colors.text
      context.stroke()
    }
    if (isNamed) {
      context.font = `${12 / scale}px system-ui, sans-serif`
      context.textAlign = 'center'
      context.textBaseline = 'top'
      context.fillStyle = colors.text
      context.fillText(shortId(id), x, y + radius + 2)
    }
    context.globalAlpha = 1
  }

  #size(): void {
    this.#graph.width(this.#place.clientWidth).height(this.#place.clientHeight)
    this.#isFitted = false
    this.#fitSoon()
  }

  /** While the peers find their places, and once more when they have them; whoever moves it meanwhile is not disturbed afterwards. */
  #fitSoon(): void {
    for (const ms of fitAfterMs) {
      const fitting = setTimeout(() => {
        this.#drops.delete(fitting)
        this.#graph.zoomToFit(200, 40)
      }, ms)
      this.#drops.add(fitting)
    }
  }

  #fit(): void {
    if (this.#isFitted) return
    this.#isFitted = true
    this.#graph.zoomToFit(300, 40)
  }

  #recolor = () => {
    this.#colors = colorsOf(document.documentElement)
  }
}

function colorsOf(element: Element) {
  const style = getComputedStyle(element)
  const of = (name: string) => style.getPropertyValue(`--${name}`).trim()
  return {
    text: of('text'),
    line: of('line'),
    peer: of('peer'),
    self: of('self'),
    guest: of('guest'),
    carrier: of('carrier'),
    drop: of('drop'),
  }
}
