/** Opening the small state of a peer: LevelDB in the data folder, or memory. */
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { ClassicLevel } from 'classic-level'
import { MemoryLevel } from 'memory-level'
import { GrapevineError } from '../errors.ts'
import type { StateDb } from '../ports.ts'

/**
 * Opens the state under a data folder, and with it takes the folder for this process; in memory for null. Rejects with
 * `FolderInUse`, naming the process that `peer.json` in the folder tells of, or with `StorageFailed`.
 */
export async function openState(folder: string | null): Promise<StateDb> {
  if (folder === null) {
    const memory = new MemoryLevel<string, Uint8Array>({ valueEncoding: 'view' })
    await memory.open()
    return memory as unknown as StateDb
  }
  const path = join(folder, 'state')
  const level = new ClassicLevel<string, Uint8Array>(path, { valueEncoding: 'view' })
  try {
    await level.open()
  } catch (error) {
    const cause = (error as Error).cause ?? error
    if ((cause as NodeJS.ErrnoException).code !== 'LEVEL_LOCKED') {
      throw new GrapevineError(
        'StorageFailed',
        `The state in ${path} cannot be opened: ${String(cause)}`,
        { path },
        cause,
      )
    }
    const pid = await holderOf(folder)
    const holder = pid === 0 ? 'another process' : `process ${pid}`
    throw new GrapevineError(
      'FolderInUse',
      `${folder} is in use by ${holder}. Stop that, or name another folder.`,
      { folder, pid },
      cause,
    )
  }
  return level as unknown as StateDb
}

async function holderOf(folder: string): Promise<number> {
  try {
    const { pid } = JSON.parse(await readFile(join(folder, 'peer.json'), 'utf8'))
    return Number.isSafeInteger(pid) && pid > 0 ? pid : 0
  } catch {
    return 0
  }
}
