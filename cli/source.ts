/** What is to be published: arguments, a file with its progress on a terminal, or stdin as it comes. */
import { createReadStream } from 'node:fs'
import { stat } from 'node:fs/promises'
import { SingleBar } from 'cli-progress'
import { GrapevineError, limits, type PublishManyResult } from '../node/index.ts'
import { linesOf } from './line.ts'

export interface Source {
  values: AsyncIterable<Uint8Array> | Iterable<Uint8Array>
  /** What one of them is called in a complaint. */
  noun: string
  onProgress(result: PublishManyResult): void
  end(): void
}

/** Values as they were given, or the lines of the file, or of stdin. Throws `InvalidOption`. */
export async function sourceOf(values: string[], options: { file?: string }, signal: AbortSignal): Promise<Source> {
  if (values.length > 0 && options.file !== undefined)
    throw new GrapevineError('InvalidOption', 'give values or --file, not both', { option: 'file' })
  const silent = { onProgress: () => {}, end: () => {} }
  const lines = { bytesMax: limits.recordBytesMax, signal }
  if (values.length > 0) return { values: values.map((value) => Buffer.from(value)), noun: 'value', ...silent }
  if (options.file === undefined) return { values: linesOf(process.stdin, lines), noun: 'line', ...silent }

  const { size } = await stat(options.file).catch((error: Error) => {
    throw new GrapevineError(
      'InvalidOption',
      `--file ${options.file} cannot be read: ${error.message}`,
      { option: 'file' },
      error,
    )
  })
  const stream = createReadStream(options.file, { highWaterMark: 256 * 1024 })
  if (!process.stderr.isTTY) return { values: linesOf(stream, lines), noun: 'line', ...silent }
  const bar = new SingleBar({
    format: '{bar} {percentage}%  {confirmed} confirmed',
    stream: process.stderr,
    hideCursor: true,
  })
  bar.start(size, 0, { confirmed: 0 })
  return {
    values: linesOf(stream, lines),
    noun: 'line',
    onProgress: ({ confirmed }) => bar.update(stream.bytesRead, { confirmed }),
    end: () => bar.stop(),
  }
}
