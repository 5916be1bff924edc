import { createFriends, type Friends } from '../../node/friends/friends.ts'
import { createHost, type Host } from '../../node/host/host.ts'
import { systemClock, systemNetwork, systemRandom } from '../../node/host/system.ts'
import type { Ports, StateDb } from '../../node/ports.ts'
import { type CardTable, createPresence } from '../../node/presence/presence.ts'
import type { PeerId } from '../../node/types.ts'
import { signingKeyOf } from '../../node/wire/key.ts'

/** What the rooms tested here take of the ports. */
export const ports = { clock: systemClock, random: systemRandom, network: systemNetwork } as unknown as Ports

export interface Member {
  id: PeerId
  host: Host
  cards: CardTable
  friends: Friends
  refused: string[]
  lost: { peer: PeerId; reason: string }[]
  friendIds(): PeerId[]
  /** Cuts everything at once and says nothing, as SIGKILL does. */
  kill(): Promise<void>
  close(): Promise<void>
}

export interface MemberOptions {
  mesh?: string
  seed?: Uint8Array
  state?: StateDb
  role?: 'peer' | 'guest'
  join?: string[]
}

/** A peer without records: host, presence and friends on loopback TCP. */
export async function member(options: MemberOptions = {}): Promise<Member> {
  const seed = options.seed ?? systemRandom.bytes(32)
  const refused: string[] = []
  const host = await createHost({
    seed,
    listen: ['/ip4/127.0.0.1/tcp/0'],
    mesh: options.mesh ?? 'test mesh',
    ports,
    onRefused: (_address, reason) => refused.push(reason),
  })
  const key = signingKeyOf(seed)
  const cards = createPresence({
    key,
    role: options.role ?? 'peer',
    version: '0',
    clock: ports.clock,
    random: ports.random,
    addresses: () => host.addresses(),
  })
  const friends = await createFriends({
    host,
    key,
    cards,
    random: ports.random,
    ...(options.state ? { state: options.state } : {}),
  })
  const lost: Member['lost'] = []
  friends.onLost((peer, reason) => lost.push({ peer, reason }))
  for (const address of options.join ?? []) friends.join(address)
  return {
    id: host.id,
    host,
    cards,
    friends,
    refused,
    lost,
    friendIds: () => friends.list().map(({ id }) => id),
    async kill() {
      for (const connection of host.libp2p.getConnections()) connection.abort(new Error('killed'))
      await host.stop()
      await friends.close()
    },
    async close() {
      await friends.leave()
      await host.stop()
    },
  }
}
