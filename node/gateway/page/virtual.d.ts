/** By name of the limit; made by `vite.config.ts`. */
declare module 'virtual:reasons' {
  const reasons: Record<string, string>
  export default reasons
}
