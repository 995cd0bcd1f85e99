/**
 * Leaves nothing behind: a shell that outlives this process by a moment, however it ends (also by `kill -9`), kills the
 * children that are still there and runs the clean-up commands, last one first.
 */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'

export interface Guardian {
  /** Kills `child` at the end, unless it has ended by then. */
  adopt(child: ChildProcess): void
  /** Runs a command at the end; its words need no quoting. */
  atEnd(...command: readonly string[]): void
  /** A new directory that is removed at the end. */
  directory(): Promise<string>
  /** Ends it all, now; resolves when that is done. */
  close(): Promise<void>
}

/** Reads orders until the pipe closes, which it does when this process ends. It has its own session: no Ctrl-C there. */
const script = `
while read -r order rest; do
  case $order in
    child) children="$children $rest" ;;
    gone) left=; for child in $children; do [ "$child" = "$rest" ] || left="$left $child"; done; children=$left ;;
    command) commands="$rest
$commands" ;;
  esac
done
for child in $children; do kill -9 "$child"; done 2>/dev/null
eval "$commands"
`

export function createGuardian(): Guardian {
  const shell = spawn('sh', ['-c', script], { stdio: ['pipe', 'ignore', 'ignore'], detached: true })
  let closing = false
  const order = (...words: readonly string[]) => closing || shell.stdin.write(`${words.join(' ')}\n`)
  const atEnd = (...command: readonly string[]) => void order('command', ...command.map(quote))
  return {
    adopt(child) {
      if (child.pid === undefined || child.exitCode !== null || child.signalCode !== null) return
      if (closing) return void child.kill('SIGKILL')
      const pid = String(child.pid)
      order('child', pid)
      child.once('exit', () => order('gone', pid))
    },
    atEnd,
    async directory() {
      const made = await mkdtemp(path.join(tmpdir(), 'shoal-'))
      atEnd('rm', '-rf', made)
      return made
    },
    async close() {
      closing = true
      if (shell.exitCode !== null) return
      const closed = once(shell, 'close')
      shell.stdin.end()
      await closed
    },
  }
}

function quote(word: string): string {
  return `'${word.replaceAll("'", `'\\''`)}'`
}
