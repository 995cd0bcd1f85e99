/**
 * One data directory, one agent. The lock is SQLite's kernel lock on an empty database file: it ends with the process,
 * however that dies, and holds across the PID namespaces of two pods on one node, where a PID in a file would lie.
 */
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { ShoalError } from '../../core/errors.ts'

const sqliteBusy = 5

export interface DirectoryLock {
  release(): void
}

/** Rejects with `STORE_LOCKED` when another store, of this process or any other, has the directory. */
export function lockDirectory(directory: string): DirectoryLock {
  const database = new DatabaseSync(join(directory, 'lock'), { timeout: 0 })
  try {
    database.exec('PRAGMA journal_mode = MEMORY; PRAGMA locking_mode = EXCLUSIVE; BEGIN EXCLUSIVE')
  } catch (error) {
    database.close()
    if (isBusy(error)) throw new ShoalError('STORE_LOCKED', `${directory} belongs to ${ownerOf(directory)}`)
    throw error
  }
  rememberOwner(directory)
  return { release: () => database.close() }
}

function isBusy(error: unknown): boolean {
  return error instanceof Error && 'errcode' in error && error.errcode === sqliteBusy
}

function ownerPath(directory: string): string {
  return join(directory, 'owner')
}

function ownerOf(directory: string): string {
  try {
    return readFileSync(ownerPath(directory), 'utf8').trim()
  } catch {
    return 'another process'
  }
}

function rememberOwner(directory: string): void {
  try {
    writeFileSync(ownerPath(directory), `process ${process.pid}\n`, { mode: 0o600 })
  } catch {
    // Only the message of a second agent's error is poorer for it; a full disk must not stop us here.
  }
}
