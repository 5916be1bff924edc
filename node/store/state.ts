/** Opening the small state of a peer: LevelDB in the data folder, or memory. */
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { ClassicLevel } from 'classic-level'
import { MemoryLevel } from 'memory-level'
import { GrapevineError } from '../errors.ts'
import type { StateDb } from '../ports.ts'

/**
 * Opens the state under a data folder, and with it takes the folder for this process; in memory for null. A state that is
 * damaged is mended as far as it goes, since all of it can be rebuilt. Rejects with `FolderInUse`, naming the process that
 * `peer.json` in the folder tells of, or with `StorageFailed`.
 */
export async function openState(folder: string | null): Promise<StateDb> {
  if (folder === null) {
    const memory = new MemoryLevel<string, Uint8Array>({ valueEncoding: 'view' })
    await memory.open()
    return memory as unknown as StateDb
  }
  const path = join(folder, 'state')
  try {
    return await openLevel(path).catch(async (error) => {
      // A lost or damaged manifest comes as either; repair rebuilds it from the tables and the log.
      if (!['LEVEL_CORRUPTION', 'LEVEL_IO_ERROR'].includes(codeOf(error))) throw error
      await ClassicLevel.repair(path)
      return openLevel(path)
    })
  } catch (error) {
    if (codeOf(error) === 'LEVEL_LOCKED') throw await inUse(folder, error)
    throw new GrapevineError(
      'StorageFailed',
      `The state in ${path} cannot be opened: ${reasonOf(error)}`,
      { path },
      error,
    )
  }
}

async function openLevel(path: string): Promise<StateDb> {
  const level = new ClassicLevel<string, Uint8Array>(path, { valueEncoding: 'view' })
  await level.open()
  return level as unknown as StateDb
}

/** What lies beneath the wrapper that abstract-level puts around every failure to open. */
function reasonOf(error: unknown): NodeJS.ErrnoException {
  return ((error as Error).cause ?? error) as NodeJS.ErrnoException
}

function codeOf(error: unknown): string {
  return reasonOf(error).code ?? ''
}

async function inUse(folder: string, cause: unknown): Promise<GrapevineError> {
  const pid = await holderOf(folder)
  const holder = pid === 0 ? 'another process' : `process ${pid}`
  return new GrapevineError(
    'FolderInUse',
    `${folder} is in use by ${holder}. Stop that, or name another folder.`,
    { folder, pid },
    cause,
  )
}

async function holderOf(folder: string): Promise<number> {
  try {
    const { pid } = JSON.parse(await readFile(join(folder, 'peer.json'), 'utf8'))
    return Number.isSafeInteger(pid) && pid > 0 ? pid : 0
  } catch {
    return 0
  }
}
