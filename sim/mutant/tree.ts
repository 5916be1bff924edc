/** Copies of the project in which bugs can be planted without touching it. */
import { cpSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type Mutant, plant } from './mutant.ts'

const root = join(import.meta.dirname, '../..')

export class Tree implements Disposable {
  readonly folder = mkdtempSync(join(tmpdir(), 'grapevine-mutant-'))

  readonly #remove = () => rmSync(this.folder, { recursive: true, force: true })

  constructor() {
    process.once('exit', this.#remove)
    for (const name of ['node', 'sim', 'package.json', 'tsconfig.json'])
      cpSync(join(root, name), join(this.folder, name), { recursive: true })
    symlinkSync(join(root, 'node_modules'), join(this.folder, 'node_modules'))
  }

  /** Runs `act` with the bug in the tree. */
  async with<T>(mutant: Mutant, act: () => Promise<T>): Promise<T> {
    const path = join(this.folder, mutant.file)
    const text = readFileSync(path, 'utf8')
    writeFileSync(path, plant(mutant, text))
    try {
      return await act()
    } finally {
      writeFileSync(path, text)
    }
  }

  [Symbol.dispose](): void {
    process.off('exit', this.#remove)
    this.#remove()
  }
}
