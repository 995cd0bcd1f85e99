/**
 * What makes a message between members authentic: HMAC-SHA256 (RFC 2104) under a key that HKDF (RFC 5869) derives from the
 * cluster secret. Every covered field excludes newlines by its grammar, so no two messages have the same text.
 */
import { createHmac, createSecretKey, hash, hkdfSync, type KeyObject, timingSafeEqual } from 'node:crypto'
import type { PeerId } from '../../core/ports.ts'
import type { ClusterSecrets } from '../cluster-secret.ts'

export interface MacKey {
  /** Names the key without saying anything about it. */
  readonly id: string
  readonly key: KeyObject
  /** For what must not be read by others either (seal.ts). */
  readonly sealKey: Uint8Array
}

/** The key that we sign with first, then the one that is accepted while the secret is being replaced. */
export type MacKeys = readonly [MacKey, ...MacKey[]]

export function macKeysOf({ current, previous }: ClusterSecrets): MacKeys {
  return previous === undefined ? [macKeyOf(current)] : [macKeyOf(current), macKeyOf(previous)]
}

function macKeyOf(secret: Uint8Array): MacKey {
  const id = Buffer.from(derive(secret, 'shoal cluster: key id')).toString('hex').slice(0, 16)
  // A key object, made once: Node.js spends more on making one of bytes than on the MAC.
  const key = createSecretKey(derive(secret, 'shoal cluster: mac key'))
  return { id, key, sealKey: derive(secret, 'shoal cluster: seal key') }
}

function derive(secret: Uint8Array, purpose: string): Uint8Array {
  return new Uint8Array(hkdfSync('sha256', secret, new Uint8Array(0), purpose, 32))
}

/** Everything of a request that its MAC covers. */
export interface RequestFields {
  readonly method: string
  readonly path: string
  readonly from: PeerId
  /** `anyMember` where the caller knows an address only. */
  readonly to: PeerId
  /** Chosen by the caller, never twice. */
  readonly nonce: string
  /** The recipient's token, or empty when none is known yet. */
  readonly epoch: string
  readonly bodyHash: string
}

/** Everything of an answer that its MAC covers. */
export interface AnswerFields {
  readonly status: number
  /** Of the request, so that no answer serves for another, nor for another caller or member. */
  readonly requestMac: string
  /** The answerer's token now. */
  readonly epoch: string
  readonly bodyHash: string
}

export const anyMember: PeerId = '*'

export function requestMac({ key }: MacKey, fields: RequestFields): string {
  const { method, path, from, to, nonce, epoch, bodyHash } = fields
  return mac(key, ['shoal cluster request 1', method, path, from, to, nonce, epoch, bodyHash])
}

export function answerMac({ key }: MacKey, fields: AnswerFields): string {
  const { status, requestMac: asked, epoch, bodyHash } = fields
  return mac(key, ['shoal cluster answer 1', String(status), asked, epoch, bodyHash])
}

function mac(key: KeyObject, lines: readonly string[]): string {
  return createHmac('sha256', key)
    .update(lines.map((line) => `${line}\n`).join(''))
    .digest('base64url')
}

export function isSameMac(told: string, expected: string): boolean {
  const bytes = Buffer.from(told)
  return bytes.length === expected.length && timingSafeEqual(bytes, Buffer.from(expected))
}

export function hashOf(body: Uint8Array): string {
  return hash('sha256', body, 'base64url')
}
