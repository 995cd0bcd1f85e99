/**
 * Bundles the `shoal` command once for all files of a project, as it ships: an agent starts from it in a quarter of the
 * CPU time that the sources take, and what Node.js has compiled for one the next finds.
 */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { makeBundle } from '../../image/image.ts'

/** vitest's `globalSetup`: its workers, and what they start, inherit the variables. */
export async function setup(): Promise<() => Promise<void>> {
  const directory = await mkdtemp(path.join(tmpdir(), 'shoal-command-'))
  await makeBundle(directory)
  process.env['TESTED_COMMAND'] = path.join(directory, 'shoal.mjs')
  process.env['NODE_COMPILE_CACHE'] = path.join(directory, 'compiled')
  // Whoever ends meanwhile still writes there what it has compiled.
  return () => rm(directory, { recursive: true, force: true, maxRetries: 10 })
}
