/** How far clocks may be apart: those that were so from the beginning, that gain or lose, and that somebody set. */
import type { Evidence } from './judge.ts'

/** Of these peers' clocks, at any time up to `at`, ms: what one says may be so far from what another says. */
export function clockSpread({ plan, history }: Evidence, peers: readonly string[], at: number): number {
  const among = new Set(peers)
  const bounds = plan.peers
    .filter(({ name }) => among.has(name))
    .map(({ name, skewMs = 0, driftPerMille = 0 }) => {
      const set = history.faults.flatMap(({ event }) =>
        event.kind === 'skew' && event.peer === name ? [event.skewMs] : [],
      )
      const moves = [...set, (driftPerMille * at) / 1_000]
      const sum = (of: (move: number) => number) => moves.reduce((total, move) => total + of(move), skewMs)
      return { least: sum((move) => Math.min(0, move)), most: sum((move) => Math.max(0, move)) }
    })
  if (bounds.length === 0) return 0
  return Math.max(...bounds.map(({ most }) => most)) - Math.min(...bounds.map(({ least }) => least))
}
