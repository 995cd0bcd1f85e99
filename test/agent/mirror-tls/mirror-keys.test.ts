import { chmod, mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { openMirrorKeys } from '../../../agent/mirror-tls/mirror-keys.ts'

let directory = ''
const files = ['mirror-ca.pem', 'mirror-secret']

beforeEach(async () => {
  directory = path.join(await mkdtemp(path.join(tmpdir(), 'shoal-mirror-keys-')), 'data')
})
afterEach(() => rm(path.dirname(directory), { recursive: true }))

test('are made once, for their owner only, and stay the same', async () => {
  const opened = await Promise.all(Array.from({ length: 8 }, () => openMirrorKeys(directory)))
  const again = await openMirrorKeys(directory)
  expect(new Set([...opened, again].map(({ secret }) => secret)).size).toBe(1)
  expect(new Set([...opened, again].map(({ authority }) => authority.cert)).size).toBe(1)
  expect(again.secret).toMatch(/^[0-9a-f]{64}$/)
  expect((await readdir(directory)).toSorted()).toEqual(files)
  for (const file of files) expect((await stat(path.join(directory, file))).mode & 0o777).toBe(0o600)
})

test.each(files)('%s that holds something else is an error, stays, and is not quoted', async (name) => {
  await openMirrorKeys(directory)
  const file = path.join(directory, name)
  await chmod(file, 0o600)
  await writeFile(file, 'secret-canary')
  const failure = openMirrorKeys(directory)
  await expect(failure).rejects.toMatchObject({
    code: 'MIRROR_KEYS_INVALID',
    detail: `${file} is not what Shoal wrote there`,
  })
  await expect(failure).rejects.not.toThrow('secret-canary')
  expect(await readFile(file, 'utf8')).toBe('secret-canary')
})

test('a place that can not be written is an error', async () => {
  await writeFile(directory, '')
  await expect(openMirrorKeys(directory)).rejects.toMatchObject({
    code: 'MIRROR_KEYS_INVALID',
    detail: `${path.join(directory, 'mirror-ca.pem')}: ENOTDIR`,
  })
})
