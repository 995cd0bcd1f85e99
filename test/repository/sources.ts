/** The repository's own files, for the tests that read them. */
import { globSync, readFileSync } from 'node:fs'
import path from 'node:path'

export const root = path.resolve(import.meta.dirname, '../..')

export function readText(file: string): string {
  return readFileSync(path.join(root, file), 'utf8')
}

/** Paths from the root, sorted. */
export function filesOf(...patterns: string[]): string[] {
  return globSync(patterns, { cwd: root, exclude: ['**/node_modules/**', 'dist/**'] }).toSorted()
}

/** The names of `names` that stand in none of the files. */
export function unusedIn(names: readonly string[], files: readonly string[]): string[] {
  const words = new Set(files.flatMap((file) => readText(file).match(/[\w$]+/g) ?? []))
  return names.filter((name) => !words.has(name))
}
