import { generateKeyPairSync } from 'node:crypto'
import { mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { privateKeyFromRaw } from '@libp2p/crypto/keys'
import { peerIdFromPrivateKey } from '@libp2p/peer-id'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { createIdentity, loadIdentity } from '../../../agent/identity/identity.ts'

let directory = ''

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'shoal-identity-'))
})

afterEach(async () => {
  await rm(directory, { recursive: true })
})

test('is made once, for its owner only, and stays the same', async () => {
  const data = join(directory, 'data')
  const first = await loadIdentity(data)
  const again = await loadIdentity(data)
  expect(again.peer).toBe(first.peer)
  expect(again.rawKey).toEqual(first.rawKey)
  expect(await readdir(data)).toEqual(['identity.pem'])
  expect((await stat(join(data, 'identity.pem'))).mode & 0o777).toBe(0o600)
})

test('processes that start together end up with one identity', async () => {
  const identities = await Promise.all(Array.from({ length: 8 }, () => loadIdentity(directory)))
  expect(new Set(identities.map((identity) => identity.peer)).size).toBe(1)
  expect(await readdir(directory)).toEqual(['identity.pem'])
})

test('is the same peer to libp2p', () => {
  const identity = createIdentity()
  expect(peerIdFromPrivateKey(privateKeyFromRaw(identity.rawKey)).toString()).toBe(identity.peer)
})

const rsa = generateKeyPairSync('rsa', { modulusLength: 2048 }).privateKey.export({ format: 'pem', type: 'pkcs8' })

test.each([
  ['empty', '', 'holds no private key'],
  ['not a key', 'secret-canary', 'holds no private key'],
  ['an RSA key', rsa.toString(), 'holds a key of type rsa'],
])('a file that is %s is an error, and stays', async (_name, content, complaint) => {
  const file = join(directory, 'identity.pem')
  await writeFile(file, content)
  const failure = loadIdentity(directory)
  await expect(failure).rejects.toMatchObject({ code: 'IDENTITY_INVALID', detail: `${file} ${complaint}` })
  await expect(failure).rejects.not.toThrow('secret-canary')
  expect(await readFile(file, 'utf8')).toBe(content)
})

test('a place that can not be read or written is an error', async () => {
  await writeFile(join(directory, 'file'), '')
  await expect(loadIdentity(join(directory, 'file'))).rejects.toMatchObject({
    code: 'IDENTITY_UNREADABLE',
    detail: `${join(directory, 'file', 'identity.pem')}: ENOTDIR`,
  })
})
