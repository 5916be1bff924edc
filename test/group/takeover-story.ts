import { Slots } from '../../node/group/slots.ts'
import { isError } from '../../node/index.ts'
import { simulate, type SimulatedPeer } from '../../sim/index.ts'
const [seed0 = 1, n = 3, jobs = 6000, workMs = 150] = process.argv.slice(2).map(Number)
for (let seed = seed0; seed < seed0 + n; seed++)
  await simulate({ peers: 20, seed, limitMs: 3_000_000 }, async (world) => {
    const [sender, ...others] = world.peers
    const crew: SimulatedPeer[] = []
    const hands = new Map<SimulatedPeer, Set<number>>()
    const got: { value: number; at: number; by: string }[] = []
    const begin = (one: SimulatedPeer) => {
      crew.push(one)
      const open = new Set<number>()
      hands.set(one, open)
      one.run(async (peer) => {
        const q = peer.queue<number>('jobs', { maxReceives: 100, visibilityMs: 30_000 })
        void (async () => { for await (const e of q.events()) log.push({ at: world.now, by: one.name, e }) })()
        const working = new Set<Promise<void>>()
        for await (const record of peer.queue<number>('jobs', { maxReceives: 100, visibilityMs: 30_000 }).consume({ concurrency: 8 })) {
          const { value } = record
          ids.set(value, record.id)
          got.push({ value, at: world.now, by: one.name })
          open.add(value)
          const work = (async () => {
            await world.sleep(workMs)
            await record.ack().then(() => open.delete(value), (e) => { if (!isError(e, 'LeaseLost') && !isError(e, 'PeerClosed')) throw e })
          })()
          working.add(work); void work.finally(() => working.delete(work))
        }
      })
    }
    const log: { at: number; by: string; e: any }[] = []
    const slots = new Slots('shared')
    const ids = new Map<number, string>()
    const left = [...others]
    for (let i = 0; i < 8; i++) begin(left.shift() as SimulatedPeer)
    await world.sleep(15_000)
    const queue = sender!.queue<number>('jobs', { maxReceives: 100, visibilityMs: 30_000 })
    let sent = 0
    const sending = (async () => { const lane = async (k: number) => { for (let v = k; v < jobs; v += 100) { await queue.send(v); sent++ } }; await Promise.all(Array.from({ length: 100 }, (_, k) => lane(k))) })()
    await world.sleep(1000)
    const kills: { who: string; at: number; values: Set<number> }[] = []
    while (left.length > 0) {
      await world.sleep(2000)
      const [victim] = crew.splice(Math.floor(world.random() * crew.length), 1) as [SimulatedPeer]
      kills.push({ who: victim.name, at: world.now, values: new Set(hands.get(victim)) })
      await victim.crash()
      await world.sleep(1000)
      begin(left.shift() as SimulatedPeer)
    }
    await sending
    await world.until(async () => (await queue.stats()).records === 0, { withinMs: 300_000 })
    const times = kills.map(({ at, values }) => {
      const again = [...values].map((v) => Math.min(...got.filter((g) => g.value === v && g.at > at).map((g) => g.at))-at)
      return again.filter((x) => Number.isFinite(x)).sort((a, b) => a - b).map(Math.round)
    })
    console.log(`seed ${seed}`, new Set(got.map((g) => g.value)).size, 'end', Math.round(world.now))
    const all = times.flat(), firsts = times.flatMap((t) => t.slice(0, 1)).sort((a, b) => a - b)
    console.log(`seed ${seed} firsts ${firsts.join(' ')} | late ${all.filter((t) => t > 7000).length} of ${all.length} | taken ${log.filter((l) => l.e.type === 'slot-taken').length} end ${Math.round(world.now)}`)
  })
