/**
 * The files of the page: those that were built with the package, or in a clone, where there is no step between changing and running, built when
 * they are first asked for.
 */
import { execFile } from 'node:child_process'
import { existsSync } from 'node:fs'
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { tmpdir } from 'node:os'
import { dirname, extname, join } from 'node:path'
import { promisify } from 'node:util'
import type { FastifyInstance } from 'fastify'
import { GrapevineError } from '../errors.ts'

const folder = join(import.meta.dirname, 'page')
const types: Record<string, string> = {
  '.html': 'text/html; charset=utf-8',
  '.js': 'text/javascript; charset=utf-8',
  '.css': 'text/css; charset=utf-8',
  '.svg': 'image/svg+xml',
}

/** By path below the page's. */
type Files = ReadonlyMap<string, Uint8Array>

let files: Promise<Files> | undefined

/** Serves the page at `/` to whoever comes from here; it holds nothing that is secret, and asks for the rest with a token. */
export function pageRoutes(app: FastifyInstance): void {
  const config = { isOpen: true }
  app.get('/', { config }, async (_request, reply) => reply.type(typeOf('.html')).send(await fileAt('index.html')))
  app.get<{ Params: { name: string } }>('/assets/:name', { config }, async ({ params: { name } }, reply) => {
    const bytes = await fileAt(`assets/${name}`)
    // Their names change with what is in them.
    return reply
      .header('cache-control', 'public, max-age=31536000, immutable')
      .type(typeOf(extname(name)))
      .send(bytes)
  })
}

function typeOf(extension: string): string {
  return types[extension] ?? 'application/octet-stream'
}

async function fileAt(path: string): Promise<Uint8Array> {
  const bytes = (await pageFiles()).get(path)
  if (bytes === undefined) throw new GrapevineError('ApiFailed', `there is no ${path} here`, { status: 404 })
  return bytes
}

export function pageFiles(): Promise<Files> {
  files ??= existsSync(join(folder, 'main.tsx')) ? build() : read(folder)
  // Whatever went wrong may be mended by the next time.
  files.catch(() => {
    files = undefined
  })
  return files
}

async function read(from: string): Promise<Files> {
  const names = await readdir(from, { recursive: true, withFileTypes: true })
  const found = names.filter((each) => each.isFile()).map((each) => join(each.parentPath, each.name))
  return new Map(
    await Promise.all(found.map(async (path) => [path.slice(from.length + 1), await readFile(path)] as const)),
  )
}

/** With what only developers have; in a process of its own, whose memory is not the peer's. */
async function build(): Promise<Files> {
  const to = await mkdtemp(join(tmpdir(), 'grapevine-page-'))
  try {
    const vite = join(dirname(createRequire(import.meta.url).resolve('vite/package.json')), 'bin/vite.js')
    await promisify(execFile)(process.execPath, [vite, 'build', folder, '--outDir', to])
    return await read(to)
  } finally {
    await rm(to, { recursive: true, force: true })
  }
}
