/** Which Grapevine this is: in a clone the commit, with a mark where files differ from it; elsewhere the version. */
import { execFile } from 'node:child_process'
import { promisify } from 'node:util'
import { version } from '../node/index.ts'

const run = promisify(execFile)

export async function revision(): Promise<string> {
  const git = async (...args: string[]) => (await run('git', args, { cwd: import.meta.dirname })).stdout.trim()
  try {
    const commit = await git('rev-parse', '--short', 'HEAD')
    const changed = (await git('status', '--porcelain', '--untracked-files=no')) !== ''
    return changed ? `${commit} and changes` : commit
  } catch {
    return version
  }
}
