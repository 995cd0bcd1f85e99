/** The containerd that runs by a configuration file, and which release it is. */
import { execFile } from 'node:child_process'
import { readdir, readFile, readlink, stat } from 'node:fs/promises'
import path from 'node:path'
import { promisify } from 'node:util'
import { limits } from '../../core/limits.ts'
import { second } from '../../core/units.ts'

const run = promisify(execFile)

export interface ContainerdProcess {
  /** Its binary. */
  readonly program: string
  /** Ms since 1970. */
  readonly startedMs: number
}

/** Undefined where none is to be seen. */
export async function findContainerd(configFile: string): Promise<ContainerdProcess | undefined> {
  for (const pid of (await readdir('/proc')).filter((name) => /^\d+$/.test(name))) {
    const found = await inspect(`/proc/${pid}`, configFile).catch(() => undefined)
    if (found !== undefined) return found
  }
  return undefined
}

/**
 * Its binary will be run: so it must be root's, and of this mount namespace. A container's root could make a process look
 * like anything.
 */
async function inspect(directory: string, configFile: string): Promise<ContainerdProcess | undefined> {
  if ((await readFile(`${directory}/comm`, 'utf8')).trim() !== 'containerd') return undefined
  const words = (await readFile(`${directory}/cmdline`, 'utf8')).split('\0')
  const isOurs = (await stat(directory)).uid === 0 && (await sharesMounts(directory))
  if (!isOurs || path.resolve(configOf(words)) !== path.resolve(configFile)) return undefined
  return { program: await readlink(`${directory}/exe`), startedMs: await startOf(directory) }
}

async function sharesMounts(directory: string): Promise<boolean> {
  return (await readlink(`${directory}/ns/mnt`)) === (await readlink('/proc/self/ns/mnt'))
}

function configOf(words: readonly string[]): string {
  const at = words.findIndex((word) => /^(--?config|-c)(=|$)/.test(word))
  const word = words[at] ?? ''
  const given = word.includes('=') ? word.slice(word.indexOf('=') + 1) : words[at + 1]
  return at < 0 ? '/etc/containerd/config.toml' : (given ?? '')
}

/** proc(5): the 22nd field of `stat`, in ticks of 10 ms since the machine started; the second one may hold spaces. */
async function startOf(directory: string): Promise<number> {
  const [fields, uptime] = await Promise.all([readFile(`${directory}/stat`, 'utf8'), readFile('/proc/uptime', 'utf8')])
  const ticks = Number(fields.slice(fields.lastIndexOf(')') + 2).split(' ')[19])
  const bootMs = Date.now() - Number(uptime.split(' ')[0]) * second
  return bootMs + ticks * 10
}

/** As `1.7.24`; undefined where the program is not there, or says nothing of the kind. */
export async function versionOf(program: string): Promise<string | undefined> {
  try {
    const { stdout } = await run(program, ['--version'], { timeout: limits.doctorQuestionMs })
    return releaseIn(stdout)
  } catch {
    return undefined
  }
}

/** `containerd/1.6.20~ds1` and `containerd github.com/containerd/containerd/v2 2.1.9+unknown` have one. */
export function releaseIn(text: string): string | undefined {
  return /(?<![\d.])\d+\.\d+\.\d+/.exec(text)?.[0]
}
