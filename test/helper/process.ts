/** Processes, as the chaos runs of the simulator have them. */
export * from '../../sim/chaos/neighbourhood.ts'
