/**
 * npm leaves a package for another platform out of package-lock.json when the registry at hand does not have it, and
 * `npm ci` then refuses the file everywhere (npm/cli#4828). What is left out is known: the package that wants it names
 * its exact version, and its own name the platform.
 */
import { z } from 'zod'

const anyObject = z.record(z.string(), z.unknown())
const lockedPackage = z.object({
  optionalDependencies: z.record(z.string(), z.string()).default({}),
  dev: z.boolean().default(false),
})

const platformWords = {
  os: ['aix', 'android', 'darwin', 'freebsd', 'linux', 'netbsd', 'openbsd', 'openharmony', 'sunos', 'win32'],
  cpu: ['arm', 'arm64', 'ia32', 'loong64', 'mips64el', 'ppc64', 'riscv64', 's390x', 'wasm32', 'x64'],
} as const

/** The text of a package-lock.json with every optional package in it; the same text where none is missing. */
export function completeLockFile(text: string): string {
  const lock = anyObject.parse(JSON.parse(text))
  const packages = anyObject.parse(lock['packages'])
  const additions = Object.entries(packages).flatMap(([path, owner]) => missingOf(path, owner, packages))
  if (additions.length === 0) return text
  const sorted = [...Object.entries(packages), ...additions].toSorted(([a], [b]) => a.localeCompare(b, 'en'))
  return `${JSON.stringify({ ...lock, packages: Object.fromEntries(sorted) }, null, 2)}\n`
}

function missingOf(path: string, owner: unknown, packages: Readonly<Record<string, unknown>>): [string, unknown][] {
  const { optionalDependencies, dev } = lockedPackage.parse(owner)
  return Object.entries(optionalDependencies)
    .filter(([name]) => !(`${path}/node_modules/${name}` in packages) && !(`node_modules/${name}` in packages))
    .map(([name, version]) => [`node_modules/${name}`, placeholder(name, version, dev)])
}

function placeholder(name: string, version: string, dev: boolean): unknown {
  const words = name.split(/[-/]/)
  const libc = words.some((word) => word.startsWith('musl')) ? ['musl'] : words.includes('gnu') ? ['glibc'] : []
  const fields = {
    version,
    cpu: platformWords.cpu.filter((cpu) => words.includes(cpu)),
    ...(dev ? { dev } : {}),
    libc,
    optional: true,
    os: platformWords.os.filter((os) => words.includes(os)),
  }
  return Object.fromEntries(Object.entries(fields).filter(([, value]) => !Array.isArray(value) || value.length > 0))
}
