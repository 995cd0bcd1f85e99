/**
 * One directory of containerd's `config_path`: its hosts.toml replaced, and put back. The file that was there is kept under a
 * second name of the same inode, so that it comes back with its owner, mode, times and labels; every step is one rename, and
 * can be repeated after a crash at any of them.
 */
import { randomBytes } from 'node:crypto'
import { link, lstat, mkdir, realpath, rename, rm, rmdir } from 'node:fs/promises'
import path from 'node:path'
import { codeOf, namesIn, readIfThere, replaceDurably, syncDirectory } from '../../agent/kept-file.ts'
import {
  caFileName,
  directoriesMadeFor,
  fromDockerCertificates,
  hostsFile,
  hostsFileName,
  isHostsFileOfShoal,
  type MirrorHost,
  parseHostsFile,
} from '../../agent/containerd/hosts-file.ts'

const keptFileName = `${hostsFileName}.before-shoal`
/** What is not yet in place; a crash leaves it behind. */
const draftPrefix = '.shoal-draft-'

/** What a directory is to hold. */
export interface HostsPlan {
  readonly directory: string
  readonly text: (directoriesMade: number) => string
  /** PEM; undefined where none is pinned. */
  readonly ca: string | undefined
}

/** Reads, and changes nothing. Throws where what is there can not be chained. */
export async function planDirectory(directory: string, mirror: MirrorHost, ca: string | undefined): Promise<HostsPlan> {
  const before = await readBefore(directory)
  const table = before === undefined ? fromDockerCertificates(await namesIn(directory)) : parseHostsFile(before)
  const text = (directoriesMade: number): string => hostsFile(mirror, table, directoriesMade)
  text(0)
  return { directory, text, ca }
}

/** The operator's own file, also where ours has taken its place. */
async function readBefore(directory: string): Promise<string | undefined> {
  const current = await readIfThere(path.join(directory, hostsFileName))
  if (current !== undefined && !isHostsFileOfShoal(current)) return current
  return readIfThere(path.join(directory, keptFileName))
}

/** False where all is as it should be already. `orphans`: directories that were made for files that are gone. */
export async function writeHosts({ directory, text, ca }: HostsPlan, orphans: ReadonlySet<string>): Promise<boolean> {
  const made = await makeDirectory(directory)
  const file = path.join(directory, hostsFileName)
  const current = await readIfThere(file)
  const isOurs = current !== undefined && isHostsFileOfShoal(current)
  if (current !== undefined && !isOurs) await keepAside(directory)
  const wanted = text(withOrphans(directory, isOurs ? directoriesMadeFor(current) : made, orphans))
  // The CA first: a file that names one that is not there fails the pull.
  const changedCa = ca !== undefined && (await replace(path.join(directory, caFileName), ca))
  const changedHosts = await replace(file, wanted)
  return changedCa || changedHosts
}

/** How many go with this file, when those above that nobody else would take are counted too. */
function withOrphans(directory: string, made: number, orphans: ReadonlySet<string>): number {
  if (made === 0 || !orphans.has(aboveBy(made, directory))) return made
  return withOrphans(directory, made + 1, orphans)
}

function aboveBy(levels: number, directory: string): string {
  return path.resolve(directory, ...Array<string>(levels).fill('..'))
}

/** How many directories that took. */
async function makeDirectory(directory: string): Promise<number> {
  const first = await mkdir(directory, { recursive: true })
  return first === undefined ? 0 : path.relative(path.dirname(first), directory).split(path.sep).length
}

/** A second name for the file that is there, in place of an older one that it followed. */
async function keepAside(directory: string): Promise<void> {
  const [file, kept, draft] = [
    path.join(directory, hostsFileName),
    path.join(directory, keptFileName),
    draftIn(directory),
  ]
  await link(file, draft)
  await rename(draft, kept)
  // A rename between two names of one file does nothing.
  await rm(draft, { force: true })
  await syncDirectory(directory)
}

async function replace(file: string, content: string): Promise<boolean> {
  if ((await readIfThere(file)) === content && ((await lstat(file)).mode & 0o777) === 0o600) return false
  await replaceDurably(file, content, draftIn(path.dirname(file)))
  return true
}

function draftIn(directory: string): string {
  return path.join(directory, `${draftPrefix}${randomBytes(6).toString('hex')}`)
}

export interface RestoredDirectory {
  /** False where nothing of Shoal's was there. */
  readonly changed: boolean
  /** Directories that were made for the file that is gone, deepest first. */
  readonly made: readonly string[]
}

/** Puts back what was there before; a file that came after ours stays. */
export async function restoreDirectory(directory: string): Promise<RestoredDirectory> {
  const names = await namesIn(directory)
  const litter = names.filter((name) => name === caFileName || name === keptFileName || name.startsWith(draftPrefix))
  const file = path.join(directory, hostsFileName)
  const current = await readIfThere(file)
  const isOurs = current !== undefined && isHostsFileOfShoal(current)
  if (names.includes(keptFileName) && (isOurs || current === undefined)) {
    await rename(path.join(directory, keptFileName), file)
  } else if (isOurs) {
    await rm(file)
  }
  for (const name of litter) await rm(path.join(directory, name), { force: true })
  if (isOurs || litter.length > 0) await syncDirectory(directory)
  const made = Array.from({ length: isOurs ? directoriesMadeFor(current) : 0 }, (_, level) => aboveBy(level, directory))
  return { changed: isOurs || litter.length > 0, made }
}

/** Where somebody else has put something into it since, or it is gone, it stays so. */
export async function removeIfEmpty(directory: string): Promise<void> {
  try {
    const real = await realpath(directory)
    await rmdir(real)
    await syncDirectory(path.dirname(real))
  } catch (error) {
    if (!['ENOTEMPTY', 'EEXIST', 'ENOENT'].includes(codeOf(error))) throw error
  }
}
