/** Real stores in directories of their own, gone when the test ends. */
import { chmodSync, mkdirSync, mkdtempSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { onTestFinished, vi } from 'vitest'
import { type DiskStore, openStore, type StoreComponents, type StoreOptions } from '../../agent/store/store.ts'
import { type Digest, digestHex } from '../../core/oci/digest.ts'
import { GiB } from '../../core/units.ts'
import { contentOf } from './content.ts'
import { virtualClock } from './virtual-clock.ts'

export function temporaryDirectory(): { readonly path: string; readonly remove: () => void } {
  const path = mkdtempSync(join(tmpdir(), 'shoal-store-'))
  return { path, remove: () => rmSync(path, { recursive: true, force: true }) }
}

/** A directory that goes when the test ends. */
export function directoryForTest(): string {
  const { path, remove } = temporaryDirectory()
  onTestFinished(remove)
  return path
}

/** Log lines, as `level: message`. */
export interface LogLines {
  readonly lines: string[]
  readonly logger: StoreComponents['logger']
}

export function logLines(): LogLines {
  const lines: string[] = []
  const to =
    (level: string) =>
    (_fields: object, message: string): void =>
      void lines.push(`${level}: ${message}`)
  return { lines, logger: { info: to('info'), warn: to('warn'), error: to('error') } }
}

/** Watermarks at which only the test's own bounds bite, whatever this machine's disk looks like. */
const roomyOptions = { maxBytes: 1 * GiB, highWatermark: 1, lowWatermark: 1 }

export function openTestStore(
  directory: string,
  { options, ...components }: Partial<StoreComponents> & { options?: Partial<StoreOptions> } = {},
): Promise<DiskStore> {
  return openStore(
    { clock: virtualClock(), logger: logLines().logger, ...components },
    { directory, ...roomyOptions, ...options },
  )
}

export function dataPath(directory: string, digest: Digest): string {
  return join(directory, 'blobs', 'sha256', `${digestHex(digest)}.data`)
}

export function logPath(directory: string, digest: Digest): string {
  return join(directory, 'blobs', 'sha256', `${digestHex(digest)}.log`)
}

/** A content directory like containerd's. */
export function makeContentDirectory(root: string): string {
  mkdirSync(join(root, 'content', 'blobs', 'sha256'), { recursive: true })
  mkdirSync(join(root, 'content', 'ingest', 'abc'), { recursive: true })
  return join(root, 'content')
}

export function contentPath(contentDirectory: string, digest: Digest): string {
  return join(contentDirectory, 'blobs', 'sha256', digestHex(digest))
}

/** As containerd commits: written in `ingest`, renamed, made read-only last. */
export function commitContent(contentDirectory: string, bytes: Buffer, { digest } = contentOf(bytes)): void {
  const ingest = join(contentDirectory, 'ingest', 'abc', 'data')
  writeFileSync(ingest, bytes)
  renameSync(ingest, contentPath(contentDirectory, digest))
  chmodSync(contentPath(contentDirectory, digest), 0o444)
}

/** Waits for what a thread of low priority does: a wait that spins would keep it from the processor. */
export async function eventually(condition: () => boolean): Promise<void> {
  await vi.waitUntil(condition, { interval: 2, timeout: 30_000 })
}
