/** `npm run build`: node/, cli/ and sim/ as JavaScript and declarations in dist/, for Node versions and tools that read no TypeScript. */
import { spawnSync } from 'node:child_process'
import { copyFileSync, cpSync, globSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { build } from 'vite'
import { packagedFlights } from '../../cli/demo/flights.ts'

const root = join(import.meta.dirname, '../..')
/** Out of the way: dist/ is what is packed, and the top of the project has one tsconfig. */
const project = join(root, 'node_modules/.grapevine-build.json')

const page = join(root, 'node/gateway/page')

rmSync(join(root, 'dist'), { recursive: true, force: true })
writeFileSync(
  project,
  JSON.stringify({
    extends: join(root, 'tsconfig.json'),
    compilerOptions: { noEmit: false, declaration: true, rootDir: root, outDir: join(root, 'dist') },
    include: [join(root, 'node'), join(root, 'cli'), join(root, 'sim')],
    exclude: [page],
  }),
)
const { status } = spawnSync(process.execPath, [join(root, 'node_modules/typescript/bin/tsc'), '-p', project], {
  stdio: 'inherit',
})
rmSync(project)
// What the demonstration publishes: some of what developers have all of.
const flights: object[] = JSON.parse(
  readFileSync(join(root, 'node_modules/vega-datasets/data/flights-200k.json'), 'utf8'),
)
const lines = flights.slice(0, 5_000).map((flight) => `${JSON.stringify(flight)}\n`)
writeFileSync(join(root, 'dist/cli/demo', packagedFlights), lines.join(''))
// What peers are deployed with.
cpSync(join(root, 'cli/deploy'), join(root, 'dist/cli/deploy'), { recursive: true })
// What the simulator reads beside its code.
for (const asset of globSync('sim/**/*.{html,css,js,yaml}', { cwd: root }))
  copyFileSync(join(root, asset), join(root, 'dist', asset))
await build({
  configFile: join(page, 'vite.config.ts'),
  build: { outDir: join(root, 'dist/node/gateway/page'), emptyOutDir: true },
})
process.exitCode = status ?? 1
