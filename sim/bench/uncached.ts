import { execFileSync } from 'node:child_process'

/** Lets the kernel forget what it has of these files, so that they are read from the disk; without `dd` of GNU they stay as they are. */
export function uncached(files: readonly string[]): void {
  for (const file of files) {
    try {
      execFileSync('dd', [`if=${file}`, 'iflag=nocache', 'count=0'], { stdio: 'ignore' })
    } catch {
      return
    }
  }
}
