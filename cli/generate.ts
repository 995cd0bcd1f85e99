/** `npm run generate`: writes every generated file and says which changed. */
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { generatedFiles } from './generated-files.ts'

const root = path.resolve(import.meta.dirname, '..')

for (const [file, text] of Object.entries(generatedFiles(root))) {
  const target = path.join(root, file)
  if (readIfThere(target) === text) continue
  mkdirSync(path.dirname(target), { recursive: true })
  writeFileSync(target, text)
  console.log(`wrote ${file}`)
}

function readIfThere(file: string): string | undefined {
  try {
    return readFileSync(file, 'utf8')
  } catch {
    return undefined
  }
}
