/** The secret that admits to a cluster: 32 random bytes in a file, never on a command line. */
import { open } from 'node:fs/promises'
import { ShoalError } from '../core/errors.ts'
import type { AgentConfig } from './config.ts'
import { warnOfReaders, writableByAll } from './file-mode.ts'
import type { Logger } from './logging.ts'

export interface ClusterSecrets {
  readonly current: Uint8Array
  /** The one being replaced; those who still use it are members too. */
  readonly previous?: Uint8Array
}

/** The secrets that the options name; undefined where the agent stands alone. Rejects with `SECRET_INVALID`. */
export async function readClusterSecrets(
  config: Pick<AgentConfig, 'clusterSecretFile' | 'previousClusterSecretFile'>,
  logger: Pick<Logger, 'warn'>,
): Promise<ClusterSecrets | undefined> {
  if (config.clusterSecretFile === undefined) return undefined
  const current = await readSecret(config.clusterSecretFile, logger)
  if (config.previousClusterSecretFile === undefined) return { current }
  return { current, previous: await readSecret(config.previousClusterSecretFile, logger) }
}

async function readSecret(file: string, logger: Pick<Logger, 'warn'>): Promise<Uint8Array> {
  const { mode, content } = await readWithMode(file).catch((cause: unknown) => {
    throw new ShoalError('SECRET_INVALID', `The secret file ${file} can not be read: ${String(cause)}`, { cause })
  })
  const fault = writableByAll(mode)
  if (fault !== undefined) throw new ShoalError('SECRET_INVALID', `The secret file ${file} ${fault}`)
  warnOfReaders(logger, file, mode)
  return parseSecret(content, file)
}

async function readWithMode(file: string): Promise<{ mode: number; content: Uint8Array }> {
  await using handle = await open(file, 'r')
  const { mode } = await handle.stat()
  return { mode, content: await handle.readFile() }
}

const secretBytes = 32

/** 32 raw bytes, 64 hex digits or 44 characters of base64; white space around text is ignored. */
export function parseSecret(content: Uint8Array, file: string): Uint8Array {
  const secret = decode(content)
  if (secret === undefined)
    throw new ShoalError('SECRET_INVALID', `The secret file ${file} holds ${content.length} bytes that are no secret`)
  if (secret.every((byte) => byte === secret[0]))
    throw new ShoalError('SECRET_INVALID', `The secret file ${file} holds one byte, repeated`)
  return secret
}

function decode(content: Uint8Array): Uint8Array | undefined {
  const text = Buffer.from(content).toString('latin1').trim()
  if (/^[0-9A-Fa-f]{64}$/.test(text)) return Uint8Array.from(Buffer.from(text, 'hex'))
  if (/^[A-Za-z0-9+/_-]{43}=?$/.test(text)) return Uint8Array.from(Buffer.from(text, 'base64'))
  // 32 printable characters are a password or half a secret in hex, not 32 random bytes.
  return content.length === secretBytes && !/^[\x20-\x7e]+$/.test(text) ? Uint8Array.from(content) : undefined
}
