/** `npm run bench -- <question> [--json]`: each question is a folder, whose README keeps the method and the last result. */
import { Command } from 'commander'
import { coldCommand } from './cold/cold.ts'
import { idleCommand } from './idle/idle.ts'
import { imageCommand } from './image/image.ts'
import { mirrorCommand } from './mirror/mirror.ts'
import { peersCommand } from './peers/peers.ts'
import { soakCommand } from './soak/soak.ts'

const program = new Command('npm run bench --').description('Measures Shoal; prints one JSON object with --json.')
program.addCommand(coldCommand())
program.addCommand(idleCommand())
program.addCommand(imageCommand())
program.addCommand(mirrorCommand())
program.addCommand(peersCommand())
program.addCommand(soakCommand())
try {
  await program.parseAsync()
} catch (error) {
  process.stderr.write(`bench: ${error instanceof Error ? error.message : String(error)}\n`)
  process.exitCode = 1
}
process.exit()
