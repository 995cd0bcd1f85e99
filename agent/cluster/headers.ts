/**
 * The headers that carry a message's MAC, and of what it covers that which the other side does not know; read strictly, before
 * anything else is done with a message.
 */
import type { IncomingHttpHeaders } from 'node:http'
import { anyMember } from './mac.ts'
import type { PeerId } from '../../core/ports.ts'
import { peerGrammar } from './wire.ts'

export const headerNames = {
  key: 'shoal-key',
  from: 'shoal-from',
  to: 'shoal-to',
  nonce: 'shoal-nonce',
  epoch: 'shoal-epoch',
  bodyHash: 'shoal-body-hash',
  mac: 'shoal-mac',
} as const

export interface MacHeaders {
  readonly key: string
  readonly from: PeerId
  readonly to: PeerId
  readonly nonce: string
  readonly epoch: string
  readonly bodyHash: string
  readonly mac: string
}

/** What an answer has: all else is the request's. */
export interface AnswerHeaders {
  readonly epoch: string
  readonly mac: string
}

const keyGrammar = /^[0-9a-f]{16}$/
const tokenGrammar = /^[A-Za-z0-9_-]{22}$/
const hashGrammar = /^[A-Za-z0-9_-]{43}$/

/** Undefined when any of them is missing, repeated or malformed. */
export function readMacHeaders(headers: IncomingHttpHeaders): MacHeaders | undefined {
  const key = one(headers, headerNames.key, keyGrammar)
  const from = one(headers, headerNames.from, peerGrammar)
  const to = headers[headerNames.to] === anyMember ? anyMember : one(headers, headerNames.to, peerGrammar)
  const nonce = one(headers, headerNames.nonce, tokenGrammar)
  const epoch = headers[headerNames.epoch] === '' ? '' : one(headers, headerNames.epoch, tokenGrammar)
  const bodyHash = one(headers, headerNames.bodyHash, hashGrammar)
  const mac = one(headers, headerNames.mac, hashGrammar)
  if (key === undefined || from === undefined || to === undefined || nonce === undefined) return undefined
  if (epoch === undefined || bodyHash === undefined || mac === undefined) return undefined
  return { key, from, to, nonce, epoch, bodyHash, mac }
}

/** Node joins repeated headers with a comma, which no grammar here admits. */
function one(headers: IncomingHttpHeaders, name: string, grammar: RegExp): string | undefined {
  const value = headers[name]
  return typeof value === 'string' && grammar.test(value) ? value : undefined
}

export function writeMacHeaders(headers: MacHeaders): Record<string, string> {
  return {
    [headerNames.key]: headers.key,
    [headerNames.from]: headers.from,
    [headerNames.to]: headers.to,
    [headerNames.nonce]: headers.nonce,
    [headerNames.epoch]: headers.epoch,
    [headerNames.bodyHash]: headers.bodyHash,
    [headerNames.mac]: headers.mac,
  }
}

/** Undefined when one of them is missing, repeated or malformed. */
export function readAnswerHeaders(headers: IncomingHttpHeaders): AnswerHeaders | undefined {
  const epoch = one(headers, headerNames.epoch, tokenGrammar)
  const mac = one(headers, headerNames.mac, hashGrammar)
  return epoch === undefined || mac === undefined ? undefined : { epoch, mac }
}

export function writeAnswerHeaders({ epoch, mac }: AnswerHeaders): Record<string, string> {
  return { [headerNames.epoch]: epoch, [headerNames.mac]: mac }
}
