/** The real programs that some suites run, and what to do where they are missing. */
import { accessSync, constants } from 'node:fs'
import { networkInterfaces } from 'node:os'
import path from 'node:path'

const inPath = (program: string) => (): boolean => findProgram(program) !== undefined

/** Each part: is it here, and how to have it. */
const parts = {
  root: { isHere: () => process.getuid?.() === 0, help: 'run as root' },
  containerd: { isHere: inPath('containerd'), help: 'apt-get install containerd' },
  ctr: { isHere: inPath('ctr'), help: 'apt-get install containerd' },
  runc: { isHere: inPath('runc'), help: 'apt-get install runc' },
  dockerd: { isHere: inPath('dockerd'), help: 'apt-get install docker.io' },
  buildah: { isHere: inPath('buildah'), help: 'apt-get install buildah' },
  'docker-registry': { isHere: inPath('docker-registry'), help: 'apt-get install docker-registry' },
  openssl: { isHere: inPath('openssl'), help: 'apt-get install openssl' },
  skopeo: { isHere: inPath('skopeo'), help: 'apt-get install skopeo' },
  ip: { isHere: inPath('ip'), help: 'apt-get install iproute2' },
  network: { isHere: () => outsideAddress() !== undefined, help: 'connect this machine to a network' },
  tc: { isHere: inPath('tc'), help: 'apt-get install iproute2' },
} as const

export type Part = keyof typeof parts

export const partNames = Object.keys(parts) as readonly Part[]

/** The full path of a program, from PATH and where root's programs live. */
export function findProgram(program: string): string | undefined {
  const directories = `${process.env['PATH'] ?? ''}:/usr/local/sbin:/usr/sbin:/sbin`.split(':')
  return directories.map((directory) => path.join(directory, program)).find((file) => isExecutable(file))
}

/** An IPv4 address of this machine by which others reach it. */
export function outsideAddress(): string | undefined {
  const addresses = Object.values(networkInterfaces()).flatMap((each) => each ?? [])
  return addresses.find(({ family, internal }) => family === 'IPv4' && !internal)?.address
}

function isExecutable(file: string): boolean {
  try {
    accessSync(file, constants.X_OK)
    return true
  } catch {
    return false
  }
}

/** What is missing, each as `part (how to have it)`. */
export function missing(names: readonly Part[]): string[] {
  return names.filter((name) => !parts[name].isHere()).map((name) => `${name} (${parts[name].help})`)
}

/**
 * For `describe.skipIf(lacks('root', 'containerd'))`: test/run.ts says what was skipped and why. Under CI nothing is
 * skipped: there a suite without its parts fails.
 */
export function lacks(...names: readonly Part[]): boolean {
  return process.env['CI'] !== 'true' && missing(names).length > 0
}
