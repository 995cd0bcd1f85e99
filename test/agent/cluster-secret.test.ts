import { chmod, mkdtemp, rm, writeFile } from 'node:fs/promises'
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
let warnings: unknown[]
const logger = { warn: (...parts: unknown[]) => void warnings.push(parts) }
beforeEach(async () => {
  warnings = []
  directory = await mkdtemp(path.join(tmpdir(), 'shoal-secret-'))
})
afterEach(() => rm(directory, { recursive: true }))

test('both secrets count while one is being replaced', async () => {
  const [clusterSecretFile, previousClusterSecretFile] = [path.join(directory, 'new'), path.join(directory, 'old')]
  await writeFile(clusterSecretFile, hex, { mode: 0o600 })
  await writeFile(previousClusterSecretFile, secret.toReversed(), { mode: 0o640 })
  expect(await readClusterSecrets({ clusterSecretFile }, logger)).toEqual({ current: secret })
  expect(await readClusterSecrets({ clusterSecretFile, previousClusterSecretFile }, logger)).toEqual({
    current: secret,
    previous: secret.toReversed(),
  })
  expect(warnings).toEqual([])
})

test('one that every user of the node may read is used, with a warning; one that they may write is refused', async () => {
  const clusterSecretFile = path.join(directory, 'exposed')
  await writeFile(clusterSecretFile, hex)
  await chmod(clusterSecretFile, 0o644)
  expect(await readClusterSecrets({ clusterSecretFile }, logger)).toEqual({ current: secret })
  expect(warnings).toMatchObject([[{ file: clusterSecretFile }, expect.stringContaining('chmod o-r')]])
  await chmod(clusterSecretFile, 0o602)
  const refused = readClusterSecrets({ clusterSecretFile }, logger)
  await expect(refused).rejects.toMatchObject({ code: 'SECRET_INVALID', detail: expect.stringContaining('chmod o-w') })
})

test('a file that is not there is named', async () => {
  const clusterSecretFile = path.join(directory, 'absent')
  await expect(readClusterSecrets({ clusterSecretFile }, logger)).rejects.toThrow(/absent can not be read: .*ENOENT/)
})

test('without a file there is no secret', async () => {
  expect(await readClusterSecrets({}, logger)).toBeUndefined()
})
