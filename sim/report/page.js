/* Draws the report from the data in the page. Everything shown at a time is a function of that time, so it can be scrubbed. */
const data = JSON.parse(document.getElementById('data').textContent)
const $ = (id) => document.getElementById(id)
const names = data.peers.map(({ name }) => name)
const endMs = Math.max(data.virtualMs, data.safetyMs)
const seconds = data.activity.published.length

function make(tag, attributes = {}, ...children) {
  const node = document.createElementNS('http://www.w3.org/2000/svg', tag)
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value)
  node.append(...children)
  return node
}
function html(tag, text, className) {
  const node = document.createElement(tag)
  node.textContent = text
  if (className) node.className = className
  return node
}
const whole = (value) => Math.round(value).toLocaleString('en')
const msText = (ms) =>
  ms < 1_000 ? `${ms < 10 ? ms.toFixed(1) : Math.round(ms)} ms` : `${(ms / 1_000).toFixed(ms < 10_000 ? 2 : 1)} s`
const clamp = (value, low, high) => Math.max(low, Math.min(high, value))

/* What each kind of fault does and how it is coloured. */
const categories = {
  network: { kinds: ['partition', 'delay', 'reset', 'halfopen', 'cut'], color: 'var(--grape)' },
  process: { kinds: ['pause', 'kill', 'power', 'churn', 'skew'], color: 'var(--amber)' },
  disk: { kinds: ['wipe', 'rollback', 'bitflip', 'truncate', 'slowdisk', 'fulldisk'], color: 'var(--blue)' },
}
const colorOf = (kind) => Object.values(categories).find(({ kinds }) => kinds.includes(kind))?.color ?? 'var(--muted)'
const few = (list) => (list.length > 4 ? `${list.slice(0, 3).join(' ')} and ${list.length - 3} more` : list.join(' '))
function faultText(event) {
  switch (event.kind) {
    case 'partition':
      if (event.shape === 'ring') return `partition: ring of ${event.a.length}`
      return `partition: ${few(event.a)} ${event.shape === 'oneway' ? '↛' : '|'} ${few(event.b)}`
    case 'delay':
      return `slow: ${few(event.from)} → ${few(event.to)}`
    case 'reset':
    case 'halfopen':
      return `${event.kind === 'reset' ? 'connections reset' : 'half-open'}: ${few(event.a)} – ${few(event.b)}`
    case 'churn':
      return `churn: ${few(event.peers)}`
    case 'cut':
      return `cut: ${event.peer}`
    default:
      return `${{ kill: 'killed', power: 'power cut', pause: 'paused', wipe: 'wiped', bitflip: 'bits flipped', fulldisk: 'disk full', slowdisk: 'slow disk', rollback: 'old disk', truncate: 'files cut', skew: 'clock jumped' }[event.kind] ?? event.kind}: ${event.peer}`
  }
}
const faults = data.faults.map((note) => ({
  ...note,
  end: note.endedAt ?? Math.min(note.at + note.event.forMs, endMs),
}))
const activeAt = (t) => faults.filter(({ at, end }) => at <= t && t < Math.max(end, at + 400))

/* Where each process is at a time: starting from its notes. */
const lives = new Map(names.map((name) => [name, []]))
for (const { peer, at, what } of data.notes) if (what !== 'lost') lives.get(peer)?.push({ at, up: what === 'started' })
const isUp = (name, t) => (lives.get(name) ?? []).findLast(({ at }) => at <= t)?.up ?? false
const downSpans = (name) => {
  const spans = []
  let since = 0
  for (const { at, up } of lives.get(name) ?? []) {
    if (up && since !== undefined) spans.push([since, at])
    since = up ? undefined : (since ?? at)
  }
  if (since !== undefined) spans.push([since, endMs])
  return spans.filter(([from, to]) => to - from > 50)
}

let now = 0
header()
const mesh = drawMesh()
const timeline = drawTimeline()
drawHistogram('h-delivery', data.histograms.deliveryMs, 'var(--vine)')
drawHistogram('h-copies', data.histograms.copies, 'var(--grape)')
drawHistogram('h-hops', data.histograms.hops, 'var(--blue)')
player()

function header() {
  $('title').textContent = `${data.trace ? 'Simulation' : 'Chaos run'}, seed ${data.seed}`
  $('subtitle').textContent =
    `${names.length} peers, ${(data.virtualMs / 1_000).toFixed(0)} ${data.trace ? 'virtual' : 'real'} seconds, ${faults.length} ${faults.length === 1 ? 'fault' : 'faults'}`
  $('about').textContent = data.about ?? ''
  $('verdict').textContent = data.ok
    ? '✓ all promises kept'
    : `${data.violations.length} violation${data.violations.length > 1 ? 's' : ''}`
  if (!data.ok) $('verdict').className = 'bad'
  const s = data.stats
  const tiles = [
    [whole(s.published), 'published'],
    [whole(s.confirmed), 'confirmed'],
    [whole(s.delivered), 'delivered'],
    [whole(s.lost), 'lost', s.lost > 0],
    [whole(s.outOfOrder), 'out of order', s.outOfOrder > 0],
    [whole(s.repaired), 'repaired'],
    [msText(s.deliveryMs.p50), 'delivery, half'],
    [msText(s.deliveryMs.p99), 'delivery, 99 %'],
    // Between real processes everything is encrypted: what is copied cannot be counted.
    ...(data.trace ? [[s.copiesPerPayload.toFixed(2), 'copies each']] : []),
  ]
  for (const [value, label, bad] of tiles) {
    const tile = html('div', '', bad ? 'tile bad' : 'tile')
    tile.append(html('b', value), html('span', label))
    $('tiles').append(tile)
  }
  if (data.violations.length > 0) {
    const list = document.createElement('ol')
    for (const { promise, at, text } of data.violations.slice(0, 20)) {
      const item = document.createElement('li')
      item.append(html('b', promise), ` at ${(at / 1_000).toFixed(2)} s: ${text}`)
      list.append(item)
    }
    $('violations').append(html('h2', 'Violations'), list)
    $('violations').hidden = false
  }
  $('again').textContent = data.again
  const others =
    data.others?.length > 1
      ? ` One of ${data.others.length} runs, ${data.others.filter(({ ok }) => !ok).length} of which failed.`
      : ''
  $('foot').textContent = `Code ${data.commit}.${data.trace ? ` Trace ${data.trace}.` : ''}${others}`
}

/* Peers stand on a ring, ordered so that the sides of the first partition are neighbours; a partition pulls its sides apart. */
function drawMesh() {
  const svg = $('mesh')
  const [width, height] = [760, 440]
  const splits = faults.filter(
    ({ event }) => event.kind === 'partition' && event.shape !== 'ring' && event.shape !== 'oneway',
  )
  const firstA = new Set(splits[0]?.event.a ?? [])
  const order = [...names.filter((name) => firstA.has(name)), ...names.filter((name) => !firstA.has(name))]
  const turn = Math.PI - (Math.PI * Math.max(0, firstA.size - 1)) / order.length
  const ring = new Map(
    order.map((name, at) => {
      const angle = turn + (2 * Math.PI * at) / order.length
      return [name, [width / 2 + 205 * Math.cos(angle), height / 2 + 8 + 160 * Math.sin(angle)]]
    }),
  )
  const small = names.length > 24
  const radius = small ? 9 : clamp(26 - names.length * 0.5, 13, 23)
  /* Each side keeps its shape, and moves to its own half of the picture; one that is scattered over the ring is drawn smaller. */
  const sides = splits.map(({ event }) => {
    const place = new Map()
    for (const [side, x] of [
      [event.a, width * 0.22],
      [event.b, width * 0.78],
    ]) {
      const points = side.filter((name) => ring.has(name)).map((name) => [name, ...ring.get(name)])
      const [cx, cy] = [1, 2].map((axis) => points.reduce((sum, point) => sum + point[axis], 0) / points.length)
      const reach = Math.max(1, ...points.map(([, px, py]) => Math.hypot(px - cx, py - cy)))
      const scale = points.length === 1 ? 1 : clamp(130 / reach, 0.5, 1.15)
      for (const [name, px, py] of points) place.set(name, [x + (px - cx) * scale, height / 2 + 8 + (py - cy) * scale])
    }
    return place
  })
  /* How far a partition has pulled its sides apart, 0 to 1: it takes a moment each way. */
  const pull = ({ at, end }, t) => {
    const ramp = clamp((end - at) / 4, 200, 1_200)
    const x = clamp(Math.min((t - at) / ramp, (end + ramp - t) / ramp), 0, 1)
    return x * x * (3 - 2 * x)
  }
  function placeOf(name, t) {
    let [x, y] = ring.get(name)
    splits.forEach((fault, i) => {
      const side = sides[i].get(name)
      const share = pull(fault, t)
      if (side === undefined || share === 0) return
      x += (side[0] - x) * share
      y += (side[1] - y) * share
    })
    return [x, y]
  }

  const haze = make('g')
  const wall = make('g')
  const edges = make('g')
  const nodes = make('g')
  svg.append(haze, wall, edges, nodes)
  const drawn = new Map(names.map((name) => [name, node(name)]))

  function node(name) {
    const group = make('g')
    const glow = make('circle', { r: 0, fill: 'var(--vine)', opacity: 0 })
    const body = make('circle', { r: radius, fill: 'var(--node)', stroke: 'var(--line)', 'stroke-width': 2 })
    const arc = make('circle', {
      r: radius,
      fill: 'none',
      stroke: 'var(--vine)',
      'stroke-width': small ? 3 : 4.5,
      'stroke-linecap': 'butt',
      transform: 'rotate(-90)',
    })
    const mark = make('text', { y: 5 })
    const label = make('text', { y: radius + 17 }, name)
    if (data.hostile.includes(name)) label.setAttribute('style', 'fill: var(--cut); font-weight: 600')
    else if (data.publishers.includes(name)) label.setAttribute('style', 'font-weight: 650')
    group.append(glow, body, arc, mark, ...(names.length > 60 ? [] : [label]))
    nodes.append(group)
    return { group, glow, body, arc, mark, label, activity: data.activity.peers.find((peer) => peer.name === name) }
  }

  legend()
  function legend() {
    const line = (attributes) =>
      make(
        'svg',
        { viewBox: '0 0 22 12' },
        make('line', { x1: 1, y1: 6, x2: 21, y2: 6, 'stroke-width': 2, ...attributes }),
      )
    const dot = (attributes) =>
      make('svg', { viewBox: '0 0 22 12' }, make('circle', { cx: 11, cy: 6, r: 4.5, 'stroke-width': 2, ...attributes }))
    const items = [
      [line({ stroke: 'var(--vine)' }), 'connected'],
      [line({ stroke: 'var(--cut)', 'stroke-dasharray': '3 3' }), 'connected, but cut'],
      [
        dot({ fill: 'none', stroke: 'var(--vine)', 'stroke-dasharray': '19 10', 'stroke-width': 3 }),
        'share of the records it has read',
      ],
      [dot({ fill: 'none', stroke: 'var(--amber)', 'stroke-dasharray': '2 2' }), 'down or paused'],
      [html('b', 'bold'), 'publishes'],
    ]
    for (const [sign, text] of items) {
      const item = html('span', '')
      item.append(sign, text)
      $('legend').append(item)
    }
  }

  return function show(t) {
    const second = clamp(Math.floor(t / 1_000), 0, seconds - 1)
    const active = activeAt(t)
    const places = new Map(names.map((name) => [name, placeOf(name, t)]))
    const cut = new Set(
      active.filter(({ end }) => t < end).flatMap(({ cuts }) => cuts.map(([from, to]) => `${from} ${to}`)),
    )
    const slow = new Set(
      active.flatMap(({ event }) =>
        event.kind === 'delay' ? event.from.flatMap((from) => event.to.map((to) => `${from} ${to}`)) : [],
      ),
    )
    const paused = new Set(active.flatMap(({ event }) => (event.kind === 'pause' ? [event.peer] : [])))
    const hurt = new Set(
      active.flatMap(({ event }) => (categories.disk.kinds.includes(event.kind) ? [event.peer] : [])),
    )

    haze.replaceChildren()
    wall.replaceChildren()
    splits.forEach((fault, i) => {
      const share = pull(fault, t)
      if (share < 0.02) return
      wall.append(
        make('line', {
          x1: width / 2,
          x2: width / 2,
          y1: 26,
          y2: height - 18,
          stroke: 'var(--cut)',
          'stroke-width': 2,
          'stroke-dasharray': '2 7',
          'stroke-linecap': 'round',
          opacity: share,
        }),
      )
      const sidesText = make(
        'text',
        { x: width / 2, y: 16, style: 'fill: var(--cut); font-weight: 600', opacity: share },
        t < fault.end ? 'partition' : 'healing',
      )
      wall.append(sidesText)
      for (const side of [fault.event.a, fault.event.b]) {
        const points = side.filter((name) => sides[i].has(name)).map((name) => places.get(name))
        const [cx, cy] = [0, 1].map((axis) => points.reduce((sum, point) => sum + point[axis], 0) / points.length)
        const reach = Math.max(...points.map(([x, y]) => Math.hypot(x - cx, y - cy))) + radius + 26
        haze.append(make('circle', { cx, cy, r: reach, fill: 'var(--grape-soft)', opacity: 0.55 * share }))
      }
    })

    edges.replaceChildren()
    const sample = data.samples.findLast(({ at }) => at <= t) ?? data.samples[0]
    const seen = new Set()
    for (const [a, b] of sample?.links ?? []) {
      const key = a < b ? `${a} ${b}` : `${b} ${a}`
      if (seen.has(key) || !places.has(a) || !places.has(b)) continue
      seen.add(key)
      const isCut = cut.has(`${a} ${b}`) || cut.has(`${b} ${a}`)
      const isSlow = slow.has(`${a} ${b}`) || slow.has(`${b} ${a}`)
      const [[x1, y1], [x2, y2]] = [places.get(a), places.get(b)]
      const gone = !isUp(a, t) || !isUp(b, t)
      edges.append(
        make('line', {
          x1,
          y1,
          x2,
          y2,
          stroke: isCut ? 'var(--cut)' : isSlow ? 'var(--amber)' : 'var(--vine)',
          'stroke-width': small ? 1 : 1.6,
          'stroke-dasharray': isCut ? '4 5' : isSlow ? '9 3' : 'none',
          opacity: gone ? 0.12 : isCut ? 0.75 : clamp(7 / names.length, 0.22, 0.6),
        }),
      )
    }

    for (const name of names) {
      const { group, glow, body, arc, mark, activity } = drawn.get(name)
      const [x, y] = places.get(name)
      group.setAttribute('transform', `translate(${x} ${y})`)
      const up = isUp(name, t)
      const delivered = up && !paused.has(name) ? (activity?.delivered[second] ?? 0) : 0
      glow.setAttribute('r', radius + Math.min(20, 3 * Math.sqrt(delivered)))
      glow.setAttribute('opacity', delivered > 0 ? 0.16 : 0)
      const fraction = t / 1_000 - second
      const at = (list) => list[second] * fraction + (second === 0 ? 0 : list[second - 1]) * (1 - fraction)
      const of = activity ? at(activity.of) : 0
      const share = of === 0 ? 0 : clamp(at(activity.have) / of, 0, 1)
      const length = 2 * Math.PI * radius
      arc.setAttribute('stroke-dasharray', `${length * share} ${length}`)
      arc.setAttribute('opacity', share > 0 ? (up ? 1 : 0.35) : 0)
      const still = !up || paused.has(name)
      body.setAttribute('stroke', still ? 'var(--amber)' : hurt.has(name) ? 'var(--blue)' : 'var(--line)')
      body.setAttribute('stroke-dasharray', still ? '4 4' : 'none')
      arc.setAttribute('stroke-width', still ? 0 : small ? 3 : 4.5)
      mark.textContent = !up ? '×' : paused.has(name) ? 'II' : of > 0 && !small ? `${Math.floor(share * 100)}` : ''
      mark.setAttribute('style', still ? 'fill: var(--amber); font-weight: 700' : 'fill: var(--muted); font-size: 11px')
    }
  }
}

function drawTimeline() {
  const svg = $('timeline')
  const left = 110
  const width = 1_100
  const right = width - 12
  const x = (ms) => left + ((right - left) * clamp(ms, 0, endMs)) / endMs
  const chart = 120
  const laneHeight = 17
  const shownFaults = faults.slice(0, 40)
  const shownPeers = names.slice(0, 40)
  const faultTop = chart + 44
  const peerTop = faultTop + shownFaults.length * laneHeight + (shownFaults.length > 0 ? 26 : 0)
  const height = peerTop + shownPeers.length * laneHeight + 26
  svg.setAttribute('viewBox', `0 0 ${width} ${height}`)

  svg.append(
    make('rect', {
      x: x(data.safetyMs),
      y: 8,
      width: Math.max(0, right - x(data.safetyMs)),
      height: height - 32,
      fill: 'var(--vine-soft)',
      opacity: 0.35,
    }),
  )
  svg.append(
    make(
      'text',
      {
        x: Math.min(x(data.safetyMs) + 4, right - 4),
        y: 6,
        class: 'axis',
        'text-anchor': x(data.safetyMs) > right - 90 ? 'end' : 'start',
      },
      'faults end',
    ),
  )
  const step = [1, 2, 5, 10, 20, 30, 60, 120, 300].find((each) => endMs / 1_000 / each <= 12) ?? 600
  for (let second = 0; second * 1_000 <= endMs; second += step) {
    const at = x(second * 1_000)
    svg.append(make('line', { x1: at, x2: at, y1: 12, y2: height - 20, stroke: 'var(--line)', 'stroke-width': 1 }))
    svg.append(make('text', { x: at, y: height - 6, class: 'axis', 'text-anchor': 'middle' }, `${second} s`))
  }

  const series = [
    ['delivered', 'var(--vine)', 'var(--vine-soft)'],
    ['published', 'var(--grape)', undefined],
  ]
  const top = Math.max(1, ...data.activity.delivered, ...data.activity.published)
  const y = (value) => chart - (chart - 26) * Math.sqrt(value / top)
  for (const [name, color, fill] of series) {
    const points = data.activity[name].slice(0, -1).map((value, second) => `${x(second * 1_000 + 500)},${y(value)}`)
    if (fill)
      svg.append(
        make('polygon', {
          points: `${x(500)},${chart} ${points.join(' ')} ${x((seconds - 2) * 1_000 + 500)},${chart}`,
          fill,
          opacity: 0.75,
        }),
      )
    svg.append(
      make('polyline', {
        points: points.join(' '),
        fill: 'none',
        stroke: color,
        'stroke-width': 1.8,
        'stroke-linejoin': 'round',
      }),
    )
  }
  svg.append(make('line', { x1: left, x2: right, y1: chart, y2: chart, stroke: 'var(--muted)', 'stroke-width': 1 }))
  svg.append(make('text', { x: left - 8, y: y(top) + 4, class: 'axis', 'text-anchor': 'end' }, `${whole(top)}/s`))
  svg.append(make('text', { x: left - 8, y: chart + 4, class: 'axis', 'text-anchor': 'end' }, '0'))
  svg.append(make('text', { x: 0, y: 44, class: 'axis', style: 'fill: var(--vine)' }, 'delivered'))
  svg.append(make('text', { x: 0, y: 60, class: 'axis', style: 'fill: var(--grape)' }, 'published'))

  if (shownFaults.length > 0) svg.append(make('text', { x: 0, y: faultTop - 8, class: 'axis' }, 'Faults'))
  shownFaults.forEach(({ event, at, end }, lane) => {
    const [from, to] = [x(at), Math.max(x(at) + 3, x(end))]
    const middle = faultTop + lane * laneHeight + laneHeight / 2
    svg.append(
      make('rect', {
        x: from,
        y: middle - 5,
        width: to - from,
        height: 10,
        rx: 3,
        fill: colorOf(event.kind),
        opacity: 0.85,
      }),
    )
    const text = faultText(event)
    const outside = to + 6 + text.length * 5.6 < right
    svg.append(
      make(
        'text',
        { x: outside ? to + 6 : from - 6, y: middle + 4, class: 'name', 'text-anchor': outside ? 'start' : 'end' },
        text,
      ),
    )
  })
  if (faults.length > shownFaults.length)
    svg.append(
      make(
        'text',
        { x: right, y: faultTop - 8, class: 'axis', 'text-anchor': 'end' },
        `and ${faults.length - shownFaults.length} more`,
      ),
    )

  svg.append(make('text', { x: 0, y: peerTop - 8, class: 'axis' }, 'Peers'))
  const most = Math.max(1, ...data.activity.peers.flatMap(({ delivered }) => delivered))
  shownPeers.forEach((name, lane) => {
    const middle = peerTop + lane * laneHeight + laneHeight / 2
    svg.append(make('text', { x: left - 10, y: middle + 4, class: 'name', 'text-anchor': 'end' }, name))
    svg.append(
      make('rect', {
        x: left,
        y: middle - 5,
        width: right - left,
        height: 10,
        rx: 2,
        fill: 'var(--line)',
        opacity: 0.45,
      }),
    )
    const activity = data.activity.peers.find((peer) => peer.name === name)
    activity?.delivered.forEach((count, second) => {
      if (count === 0 || second >= seconds - 1) return
      const share = 0.2 + 0.8 * Math.sqrt(count / most)
      svg.append(
        make('rect', {
          x: x(second * 1_000),
          y: middle - 5,
          width: Math.max(0.5, x((second + 1) * 1_000) - x(second * 1_000) + 0.4),
          height: 10,
          fill: 'var(--vine)',
          opacity: share,
        }),
      )
    })
    for (const [from, to] of downSpans(name))
      svg.append(
        make('rect', {
          x: x(from),
          y: middle - 6,
          width: Math.max(2, x(to) - x(from)),
          height: 12,
          rx: 2,
          fill: 'var(--panel)',
          stroke: 'var(--amber)',
          'stroke-width': 1.2,
          'stroke-dasharray': '3 2',
        }),
      )
    for (const { event, at, end } of faults)
      if (event.kind === 'pause' && event.peer === name)
        svg.append(
          make('rect', {
            x: x(at),
            y: middle - 6,
            width: Math.max(2, x(end) - x(at)),
            height: 12,
            rx: 2,
            fill: 'var(--amber)',
            opacity: 0.8,
          }),
        )
    for (const { peer, at, what } of data.notes)
      if (peer === name && what === 'lost')
        svg.append(make('circle', { cx: x(at), cy: middle, r: 3.5, fill: 'var(--blue)', stroke: 'var(--panel)' }))
  })
  if (names.length > shownPeers.length)
    svg.append(
      make('text', { x: 40, y: peerTop - 8, class: 'axis' }, `the first ${shownPeers.length} of ${names.length}`),
    )

  const cursor = make('line', { y1: 8, y2: height - 20, stroke: 'var(--ink)', 'stroke-width': 1.5 })
  svg.append(cursor)
  svg.style.cursor = 'pointer'
  svg.addEventListener('click', (event) => {
    const box = svg.getBoundingClientRect()
    go((((event.clientX - box.left) / box.width) * width - left) * (endMs / (right - left)))
  })
  return (t) => {
    cursor.setAttribute('x1', x(t))
    cursor.setAttribute('x2', x(t))
  }
}

function drawHistogram(id, buckets, color) {
  const svg = $(id)
  const first = buckets.findIndex(({ count }) => count > 0)
  const last = buckets.findLastIndex(({ count }) => count > 0)
  const shown = first < 0 ? [] : buckets.slice(Math.max(0, first), last + 1)
  const [width, row] = [340, 22]
  svg.setAttribute('viewBox', `0 0 ${width} ${Math.max(1, shown.length) * row + 4}`)
  if (shown.length === 0) svg.append(make('text', { x: 0, y: 15, class: 'axis' }, 'nothing'))
  const total = shown.reduce((sum, { count }) => sum + count, 0)
  const top = Math.max(...shown.map(({ count }) => count))
  shown.forEach(({ label, count }, at) => {
    const y = at * row
    const length = Math.max(count > 0 ? 1.5 : 0, (190 * count) / top)
    svg.append(make('text', { x: 54, y: y + 14, class: 'axis', 'text-anchor': 'end' }, label))
    svg.append(make('rect', { x: 62, y: y + 3, width: length, height: 14, rx: 3, fill: color, opacity: 0.85 }))
    const percent = (100 * count) / total
    svg.append(
      make(
        'text',
        { x: 68 + length, y: y + 14, class: 'axis' },
        `${whole(count)} (${percent < 0.1 && count > 0 ? '< 0.1' : percent.toFixed(percent < 10 ? 1 : 0)} %)`,
      ),
    )
  })
}

function go(t) {
  now = clamp(t, 0, endMs)
  mesh(now)
  timeline(now)
  $('scrub').value = now
  $('clock').textContent = `${(now / 1_000).toFixed(1)} s`
  $('phase').textContent = now < data.safetyMs ? 'faults and traffic' : 'healed: everything must come right'
  const active = activeAt(now)
  $('now').replaceChildren(
    ...(active.length === 0
      ? [html('li', 'no fault')]
      : active.map(({ event }) => {
          const item = html('li', faultText(event))
          item.style.setProperty('--mark', colorOf(event.kind))
          return item
        })),
  )
  const second = clamp(Math.floor(now / 1_000), 0, seconds - 1)
  const links = data.samples.findLast(({ at }) => at <= now)?.links.length ?? 0
  const rates = [
    ['published', data.activity.published[second]],
    ['confirmed', data.activity.confirmed[second]],
    ['delivered', data.activity.delivered[second]],
    ['connections', links],
    ['peers up', names.filter((name) => isUp(name, now)).length],
  ]
  $('rates').replaceChildren(...rates.flatMap(([name, value]) => [html('dt', name), html('dd', whole(value ?? 0))]))
}

function player() {
  const fromHash = new URLSearchParams(location.hash.slice(1))
  const dark = fromHash.get('theme') ?? (matchMedia('(prefers-color-scheme: dark)').matches ? 'dark' : 'light')
  document.documentElement.dataset.theme = dark
  $('theme').addEventListener('click', () => {
    const { dataset } = document.documentElement
    dataset.theme = dataset.theme === 'dark' ? 'light' : 'dark'
  })
  $('scrub').max = endMs
  let playing = false
  let before = 0
  const set = (on) => {
    playing = on
    $('play').textContent = on ? '❚❚ Pause' : '▶ Play'
  }
  const frame = (time) => {
    if (!playing) return
    go(now + (time - before) * Number($('speed').value))
    before = time
    if (now >= endMs) set(false)
    else requestAnimationFrame(frame)
  }
  $('play').addEventListener('click', () => {
    if (!playing && now >= endMs) go(0)
    set(!playing)
    before = performance.now()
    if (playing) requestAnimationFrame(frame)
  })
  $('scrub').addEventListener('input', () => {
    set(false)
    go(Number($('scrub').value))
  })
  const started = Number(fromHash.get('t') ?? Number.NaN)
  // Where it is worth looking first: in the middle of the first partition, or of the run.
  const first = faults.find(({ event }) => event.kind === 'partition') ?? faults[0]
  go(Number.isNaN(started) ? (first ? (first.at + first.end) / 2 : endMs / 2) : started * 1_000)
}
