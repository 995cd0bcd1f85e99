/** Which containerd versions can be had on this machine. */
import { execFile } from 'node:child_process'
import path from 'node:path'
import { promisify } from 'node:util'
import { describe } from 'vitest'
import { lacks, type Part } from '../needs.ts'

const run = promisify(execFile)

export interface ContainerdBinary {
  readonly containerd: string
  readonly ctr: string
  /** As `1.7.24`, without Debian's suffixes. */
  readonly version: string
  readonly major: number
}

/** Where each comes from: Debian's own package, or the package of another release, fetched by fetch.sh. */
const containerdSources = ['installed', 'trixie', 'sid'] as const
type ContainerdSource = (typeof containerdSources)[number]

/** The binary, or the reason why there is none, for a skip that can be seen. */
export async function findContainerd(source: ContainerdSource): Promise<ContainerdBinary | string> {
  if (process.getuid?.() !== 0) return 'containerd needs root'
  try {
    return await inspect(source === 'installed' ? '/usr' : `${await fetchInto(source)}/usr`)
  } catch (error) {
    return `no containerd from ${source}: ${error instanceof Error ? error.message : String(error)}`
  }
}

/** A suite for each version, skipped where it, or one of `parts`, can not be had. */
export async function describeContainerds(suite: (binary: ContainerdBinary) => void, ...parts: Part[]): Promise<void> {
  for (const source of containerdSources) await describeContainerd(source, suite, ...parts)
}

/** The same for one version. */
export async function describeContainerd(
  source: ContainerdSource,
  suite: (binary: ContainerdBinary) => void,
  ...parts: Part[]
): Promise<void> {
  const binary = await findContainerd(source)
  const missing = typeof binary === 'string'
  describe.skipIf(missing || lacks(...parts))(
    `containerd ${missing ? `of ${source}: ${binary}` : binary.version}`,
    () => {
      suite(binary as ContainerdBinary)
    },
  )
}

async function fetchInto(source: ContainerdSource): Promise<string> {
  const { stdout } = await run(path.join(import.meta.dirname, 'fetch.sh'), [source])
  return stdout.trim()
}

async function inspect(prefix: string): Promise<ContainerdBinary> {
  const containerd = `${prefix}/bin/containerd`
  const { stdout } = await run(containerd, ['--version'])
  const version = /\d+\.\d+\.\d+/.exec(stdout)?.[0]
  if (version === undefined) throw new Error(`it says: ${stdout.trim()}`)
  return { containerd, ctr: `${prefix}/bin/ctr`, version, major: Number.parseInt(version, 10) }
}
