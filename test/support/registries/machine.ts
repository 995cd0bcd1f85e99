/** For programs that ask the system what a name means and whom to trust: both as the emulated registries need it, for them alone. */
import { writeFile } from 'node:fs/promises'
import path from 'node:path'
import type { Guardian } from '../../../cli/demo/guardian.ts'
import type { Emulator } from './emulator.ts'

/** Words to put before a command: `/etc/hosts` of its own, and one CA. Needs root. */
export async function amongRegistries(
  guardian: Guardian,
  emulators: readonly Emulator[],
  caFile: string,
): Promise<readonly string[]> {
  const file = path.join(await guardian.directory(), 'hosts')
  const lines = emulators.map(({ address, hosts }) => [address, ...hosts].join(' '))
  await writeFile(file, ['127.0.0.1 localhost', ...lines, ''].join('\n'))
  const mount = 'mount --bind "$0" /etc/hosts && exec "$@"'
  return ['unshare', '--mount', 'sh', '-c', mount, file, 'env', `SSL_CERT_FILE=${caFile}`]
}

/** What an agent is told of them: listed because they are played on loopback. */
export function originFlags(emulators: readonly Emulator[], caFile: string): string[] {
  const listed = emulators.flatMap(({ row, hosts }) => [
    { host: row.origin, caFiles: [caFile], ...(row.api === undefined ? {} : { baseUrl: row.api }) },
    ...hosts.filter((host) => host !== row.origin).map((host) => ({ host, caFiles: [caFile] })),
  ])
  return ['--origins', JSON.stringify(listed), '--extra-ca-files', caFile]
}
