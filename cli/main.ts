#!/usr/bin/env node
/**
 * The command `grapevine`. Nothing is imported before the version is looked at: an older Node would end in a syntax or
 * import error of some dependency, which tells nobody what to do. What was compiled once is kept in the folder for temporary files
 * (NODE_COMPILE_CACHE names another, NODE_DISABLE_COMPILE_CACHE=1 keeps nothing): it halves the time to start.
 *
 * A full collection of garbage begins only when the heap and the buffers outside it have grown by three times what was left: for
 * the usual tenth a busy peer would collect after each 8 MB that it reads, a quarter of its time.
 */
import module from 'node:module'
import { setFlagsFromString } from 'node:v8'

const [major = 0, minor = 0] = process.versions.node.split('.').map(Number)
if (major < 22 || (major === 22 && minor < 18)) {
  process.stderr.write(
    `grapevine needs Node 22.18 or newer, and this is ${process.version}: get one from https://nodejs.org\n`,
  )
  process.exitCode = 1
} else {
  // In this order: what is kept is of use only to processes with the same flags, and has a folder for each set of them.
  setFlagsFromString('--heap-growing-percent=300')
  module.enableCompileCache()
  import('./program.ts').then(({ run }) => run(process.argv.slice(2)))
}
