/** What commands write: data to stdout, as fast as its reader takes it; words to stderr, coloured only on a terminal. */
import { styleText } from 'node:util'

/** `NO_COLOR` and streams that are no terminal are honoured by styleText. */
export function paint(format: Parameters<typeof styleText>[0], text: string): string {
  return styleText(format, text, { stream: process.stderr })
}

/** A line for the person at the terminal. */
export function tell(line: string): void {
  process.stderr.write(`${line}\n`)
}

/** Resolves when the bytes are with the operating system; rejects when nobody reads any more. */
export function write(data: string | Uint8Array): Promise<void> {
  return new Promise((resolve, reject) => process.stdout.write(data, (error) => (error ? reject(error) : resolve())))
}

export function writeJson(value: unknown): Promise<void> {
  return write(`${JSON.stringify(value)}\n`)
}

/** Aborted when stdout's reader is gone (`grapevine sub | head`): a reason to stop, not a failure. */
export function stdoutClosed(): AbortSignal {
  const closed = new AbortController()
  process.stdout.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code !== 'EPIPE') throw error
    closed.abort()
  })
  return closed.signal
}

export function isBrokenPipe(error: unknown): boolean {
  const { code } = error as NodeJS.ErrnoException
  return code === 'EPIPE' || code === 'ERR_STREAM_DESTROYED'
}

/** Columns as wide as their widest cell; a line for each row, under a head. */
export function table(head: string[], rows: string[][]): string {
  const widths = head.map((title, at) => Math.max(title.length, ...rows.map((row) => row[at]?.length ?? 0)))
  const line = (cells: string[]) =>
    cells
      .map((cell, at) => cell.padEnd(widths[at] ?? 0))
      .join('  ')
      .trimEnd()
  return `${[line(head), ...rows.map(line)].join('\n')}\n`
}

/** 1536 -> 1.5 KiB. */
export function byteText(bytes: number): string {
  const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB']
  const at = bytes < 1 ? 0 : Math.min(units.length - 1, Math.floor(Math.log2(bytes) / 10))
  return `${at === 0 ? bytes : (bytes / 1024 ** at).toFixed(1)} ${units[at]}`
}

/** How long ago `time` was, in its largest unit. */
export function agoText(time: number, now = Date.now()): string {
  const seconds = Math.max(0, Math.round((now - time) / 1000))
  const [unit, size] =
    seconds < 120 ? ['s', 1] : seconds < 7_200 ? ['min', 60] : seconds < 172_800 ? ['h', 3_600] : ['d', 86_400]
  return `${Math.floor(seconds / Number(size))} ${unit}`
}
