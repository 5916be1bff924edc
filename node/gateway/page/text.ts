/** Figures and names as people read them. */

const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB']

export function bytes(count: number): string {
  let [value, unit] = [count, 0]
  while (value >= 1_024 && unit < units.length - 1) [value, unit] = [value / 1_024, unit + 1]
  return `${unit === 0 || value >= 100 ? Math.round(value) : value.toFixed(1)} ${units[unit]}`
}

export function count(value: number): string {
  return Math.round(value).toLocaleString('en')
}

/** A second: `0.4/s`, `1,200/s`. */
export function rate(value: number): string {
  return value === 0 ? '0/s' : `${value < 10 ? value.toFixed(1) : count(value)}/s`
}

export function since(time: number): string {
  const seconds = Math.max(0, Math.round((Date.now() - time) / 1_000))
  if (seconds < 60) return `${seconds} s`
  if (seconds < 3_600) return `${Math.floor(seconds / 60)} min`
  if (seconds < 86_400) return `${Math.floor(seconds / 3_600)} h ${Math.floor((seconds % 3_600) / 60)} min`
  return `${Math.floor(seconds / 86_400)} d ${Math.floor((seconds % 86_400) / 3_600)} h`
}

export function ms(value: number | undefined): string {
  return value === undefined ? '–' : `${value < 10 ? value.toFixed(1) : Math.round(value)} ms`
}

export function clock(time: number): string {
  return new Date(time).toLocaleTimeString('en-GB')
}

/** The end of a peer's id, which differs most: all begin with `12D3KooW`. */
export function shortId(id: string): string {
  return id.slice(-6)
}

/** In how many losses it would still be there. */
export function survival(copies: number): string {
  if (copies <= 1) return copies === 1 ? 'does not survive the loss of its one carrier' : 'is carried by nobody'
  return `survives the loss of ${copies - 1} ${copies === 2 ? 'peer' : 'peers'}`
}
