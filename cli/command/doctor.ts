/** `grapevine doctor`: what is wrong with the peer and its mesh, and what to do about it. */
import type { Command } from 'commander'
import { diagnose, type Finding } from '../doctor/diagnose.ts'
import { examine, type Whom } from '../doctor/examine.ts'
import { paint, write, writeJson } from '../output.ts'

export function addDoctor(program: Command): void {
  program
    .command('doctor')
    .description(
      'Say what is wrong with the peer and its mesh, and what to do about it. Exits with 1 when something is.',
    )
    .option('--data <dir>', 'the data folder of the peer')
    .option('--api <host:port>', 'the local API of the peer; its token comes from GRAPEVINE_TOKEN or the data folder')
    .option('--json', 'findings as JSON')
    .action(doctor)
}

async function doctor({ json, ...whom }: Whom & { json?: boolean }): Promise<void> {
  const findings = diagnose(await examine(whom))
  if (json) await writeJson(findings)
  else if (findings.length === 0) await write(`${paint('green', 'Nothing is wrong.')}\n`)
  else for (const finding of findings) await write(textOf(finding))
  if (findings.some(({ severity }) => severity === 'wrong')) process.exitCode = 1
}

function textOf({ severity, says, advice }: Finding): string {
  return `${severity === 'wrong' ? paint('red', 'wrong') : paint('yellow', 'risk ')}  ${says}\n       ${advice}\n`
}
