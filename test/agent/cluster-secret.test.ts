import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { parseSecret, readClusterSecrets } from '../../agent/cluster-secret.ts'

const secret = Uint8Array.from({ length: 32 }, (_, index) => 7 * index)
const hex = Buffer.from(secret).toString('hex')
const base64 = Buffer.from(secret).toString('base64')

test.each([
  ['raw bytes', secret],
  ['hex', Buffer.from(hex)],
  ['hex in capitals, with a line end', Buffer.from(`${hex.toUpperCase()}\r\n`)],
  ['base64', Buffer.from(base64)],
  ['base64 with a line end', Buffer.from(`${base64}\n`)],
  ['base64 as in URLs, unpadded', Buffer.from(Buffer.from(secret).toString('base64url'))],
])('a secret may be %s', (_name, content) => {
  expect(parseSecret(content, 'f')).toEqual(secret)
})

test.each([
  ['an empty file', ''],
  ['half a secret in hex', 'a1'.repeat(16)],
  ['a password of 32 characters', 'correct horse battery staple 123'],
  ['one digit too many', `${hex}0`],
  ['31 raw bytes', Buffer.from(secret.subarray(1))],
  ['zeros', Buffer.alloc(32)],
  ['zeros in hex', '0'.repeat(64)],
])('%s is none, and the error does not show it', (_name, content) => {
  const failure = failureOf(() => parseSecret(Buffer.from(content), '/etc/shoal/secret'))
  expect(failure).toMatchObject({ code: 'SECRET_INVALID' })
  expect(String(failure)).toMatch(/The secret file \/etc\/shoal\/secret holds /)
  expect(String(failure)).not.toContain(content.toString() || 'nothing to hide')
})

function failureOf(attempt: () => unknown): unknown {
  try {
    return attempt()
  } catch (error) {
    return error
  }
}

let directory: string
beforeEach(async () => {
  directory = await mkdtemp(path.join(tmpdir(), 'shoal-secret-'))
})
afterEach(() => rm(directory, { recursive: true }))

test('both secrets count while one is being replaced', async () => {
  const [clusterSecretFile, previousClusterSecretFile] = [path.join(directory, 'new'), path.join(directory, 'old')]
  await writeFile(clusterSecretFile, hex)
  await writeFile(previousClusterSecretFile, secret.toReversed())
  expect(await readClusterSecrets({ clusterSecretFile })).toEqual({ current: secret })
  expect(await readClusterSecrets({ clusterSecretFile, previousClusterSecretFile })).toEqual({
    current: secret,
    previous: secret.toReversed(),
  })
})

test('a file that is not there is named', async () => {
  const clusterSecretFile = path.join(directory, 'absent')
  await expect(readClusterSecrets({ clusterSecretFile })).rejects.toThrow(/absent can not be read: .*ENOENT/)
})

test('without a file there is no secret', async () => {
  expect(await readClusterSecrets({})).toBeUndefined()
})
