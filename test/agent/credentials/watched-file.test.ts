import { chmod, mkdir, mkdtemp, rename, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { createWatchedFile } from '../../../agent/credentials/watched-file.ts'
import { limits } from '../../../core/limits.ts'

let directory: string
let file: string
let parsed: string[]
let warnings: unknown[][]

beforeEach(async () => {
  directory = await mkdtemp(path.join(tmpdir(), 'shoal-watched-'))
  file = path.join(directory, 'config.json')
  parsed = []
  warnings = []
})
afterEach(() => rm(directory, { recursive: true }))

function watch(secret = true, at = file) {
  return createWatchedFile(
    { warn: (...parts: unknown[]) => void warnings.push(parts) },
    {
      file: at,
      secret,
      parse(text) {
        parsed.push(text)
        if (text.includes('wrong')) throw new Error('is wrong')
        return text
      },
    },
  )
}

const write = (text: string, mode = 0o600) => writeFile(file, text, { mode })

test('is read once, and again when it has changed', async () => {
  await write('one')
  const watched = watch()
  expect(await watched.load()).toBe('one')
  expect(await watched.content()).toBe('one')
  expect(parsed).toEqual(['one'])
  await write('other')
  expect(await watched.content()).toBe('other')
  expect(await watched.content()).toBe('other')
  expect(parsed).toEqual(['one', 'other'])
  expect(warnings).toEqual([])
})

test('a mounted Secret changes when Kubernetes turns the link behind it', async () => {
  for (const version of ['1', '2']) {
    await mkdir(path.join(directory, version))
    await writeFile(path.join(directory, version, 'secret'), `version ${version}`, { mode: 0o600 })
  }
  await symlink('1', path.join(directory, '..data'))
  await symlink('..data/secret', path.join(directory, 'secret'))
  const watched = watch(true, path.join(directory, 'secret'))
  expect(await watched.content()).toBe('version 1')
  await symlink('2', path.join(directory, '..new'))
  await rename(path.join(directory, '..new'), path.join(directory, '..data'))
  expect(await watched.content()).toBe('version 2')
})

test('gives nothing once it is gone or wrong, which is said once; and again when it is mended', async () => {
  await write('one')
  const watched = watch()
  await watched.load()
  await rm(file)
  expect(await watched.content()).toBeUndefined()
  expect(await watched.content()).toBeUndefined()
  await write('wrong')
  expect(await watched.content()).toBeUndefined()
  expect(await watched.content()).toBeUndefined()
  await write('right')
  expect(await watched.content()).toBe('right')
  expect(warnings.map(([fields]) => fields)).toMatchObject([
    { err: { code: 'CREDENTIALS_INVALID', detail: `${file}: can not be read (ENOENT)` } },
    { err: { code: 'CREDENTIALS_INVALID', detail: `${file}: is wrong` } },
  ])
})

test('at the start it must be right', async () => {
  await expect(watch().load()).rejects.toMatchObject({ code: 'CREDENTIALS_INVALID' })
  await write('wrong')
  await expect(watch().load()).rejects.toThrow(/config.json: is wrong/)
  await write('a'.repeat(limits.credentialFileMaxBytes + 1))
  await expect(watch().load()).rejects.toThrow(/has more than 1048576 bytes/)
})

test('one that anybody may write is refused', async () => {
  await write('one')
  await chmod(file, 0o602)
  await expect(watch().load()).rejects.toThrow(/may be written by every user of this node/)
  expect(parsed).toEqual([])
})

test('a secret that anybody may read is used, with a warning', async () => {
  await write('one', 0o644)
  await chmod(file, 0o644)
  expect(await watch(false).load()).toBe('one')
  expect(warnings).toEqual([])
  const watched = watch()
  expect(await watched.load()).toBe('one')
  await watched.content()
  expect(warnings).toMatchObject([[{ file }, expect.stringContaining('chmod o-r')]])
})
