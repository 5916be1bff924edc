/** `grapevine/sim`: simulated peers for the tests of programs that use Grapevine. */

export type { PromiseName, Violation } from './check/judge.ts'
export { drawPlan } from './draw.ts'
export * from './plan.ts'
export { type RunOptions, type RunResult, runPlan } from './run.ts'
export type { Stats } from './stats.ts'
export { ProcessDied, type Program, SimulatedPeer } from './story/peer.ts'
export { type SimulatedPeerOptions, type SimulateOptions, simulate } from './story/simulate.ts'
export type { Peers, SimulatedWorld } from './story/world.ts'
export type { LinkQuality } from './world/network.ts'
export type { CrashKind } from './world/peer.ts'
