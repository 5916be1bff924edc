export { until } from '../../sim/chaos/until.ts'
