/**
 * What this node's mirror is known by: a CA, which hosts.toml pins so that nobody else on the mirror's port is believed, and
 * a secret, which hosts.toml carries so that the mirror answers nobody else. Both are made once and rest in the data directory.
 */
import { randomBytes } from 'node:crypto'
import path from 'node:path'
import { ShoalError } from '../../core/errors.ts'
import { codeOf, keepOnce, readIfThere } from '../kept-file.ts'
import { type Authority, createAuthority, parseAuthority } from './certificates.ts'

export interface MirrorKeys {
  readonly authority: Authority
  /** 32 random bytes in hex. */
  readonly secret: string
}

const authorityFile = 'mirror-ca.pem'
const secretFile = 'mirror-secret'

/** The agent and `shoal configure` both come here; whoever is first makes them. Rejects with `MIRROR_KEYS_INVALID`. */
export async function openMirrorKeys(dataDirectory: string): Promise<MirrorKeys> {
  return openKeys(dataDirectory, newAuthority, newSecret)
}

/** Those that are there already. Rejects with `MIRROR_KEYS_INVALID`, also where there are none. */
export async function readMirrorKeys(dataDirectory: string): Promise<MirrorKeys> {
  return openKeys(dataDirectory, refuseToMake, refuseToMake)
}

function refuseToMake(): never {
  throw Object.assign(new Error('there is none'), { code: 'ENOENT' })
}

type Create = () => string | Promise<string>

async function openKeys(directory: string, createAuthorityText: Create, createSecret: Create): Promise<MirrorKeys> {
  const authority = await openKept(path.join(directory, authorityFile), createAuthorityText, parseAuthority)
  const secret = await openKept(path.join(directory, secretFile), createSecret, parseSecret)
  return { authority, secret }
}

/** All of them are for their owner alone. */
export function mirrorKeyFiles(dataDirectory: string): string[] {
  return [authorityFile, secretFile].map((name) => path.join(dataDirectory, name))
}

async function openKept<Kept>(
  file: string,
  create: Create,
  parse: (text: string) => Kept | Promise<Kept>,
): Promise<Kept> {
  const text = await readOrKeep(file, create).catch((cause: unknown) => {
    throw new ShoalError('MIRROR_KEYS_INVALID', `${file}: ${codeOf(cause)}`, { cause })
  })
  try {
    return await parse(text)
  } catch {
    // The cause might quote the file.
    throw new ShoalError('MIRROR_KEYS_INVALID', `${file} is not what Shoal wrote there`)
  }
}

async function readOrKeep(file: string, create: Create): Promise<string> {
  const kept = await readIfThere(file)
  if (kept !== undefined) return kept
  const made = await create()
  return (await keepOnce(file, made)) ? made : ((await readIfThere(file)) ?? '')
}

async function newAuthority(): Promise<string> {
  const { cert, key } = await createAuthority()
  return cert + key
}

function newSecret(): string {
  return randomBytes(32).toString('hex')
}

function parseSecret(text: string): string {
  if (!/^[0-9a-f]{64}$/.test(text)) throw new TypeError('no secret')
  return text
}
