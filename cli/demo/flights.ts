/** Real data for the demonstration: flights in the United States in 2001, from the examples of the Vega project. */
import { createReadStream } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { extname, join } from 'node:path'
import { createInterface } from 'node:readline'

/** The package has a part of what developers have all of. */
const isPackaged = extname(import.meta.url) === '.js'
export const packagedFlights = 'flights.ndjson'
const all = join(import.meta.dirname, '../../node_modules/vega-datasets/data/flights-200k.json')

/** Over and over. */
export async function* flights(): AsyncGenerator<object> {
  for (;;) {
    if (!isPackaged) yield* JSON.parse(await readFile(all, 'utf8')) as object[]
    else
      for await (const line of createInterface({ input: createReadStream(join(import.meta.dirname, packagedFlights)) }))
        yield JSON.parse(line) as object
  }
}
