/** Asks other members: one POST with a MAC each, over kept connections; the answer's MAC is checked before it is read. */
import { Agent, type IncomingHttpHeaders, type IncomingMessage, request } from 'node:http'
import { ShoalError } from '../../core/errors.ts'
import { limits } from '../../core/limits.ts'
import type { PeerId } from '../../core/ports.ts'
import { whenAwakeFor } from '../system/awake-timer.ts'
import { randomToken } from './epochs.ts'
import { readAnswerHeaders, writeMacHeaders } from './headers.ts'
import { answerMac, anyMember, hashOf, isSameMac, requestMac } from './mac.ts'
import type { MacKey, MacKeys } from './mac.ts'
import { seal, unseal } from './seal.ts'
import type { Call } from './wire.ts'

export interface ClusterClientComponents {
  readonly self: PeerId
  readonly keys: MacKeys
}

export interface ClusterClient {
  /**
   * Calls `peer` at `cluster` (`host:port`), or whoever listens there where `peer` is undefined. Rejects with
   * `CLUSTER_UNREACHABLE` (its `cause` says how; see `isRefusal`) or `CLUSTER_MAC_WRONG`.
   */
  call<Request, Answer>(
    call: Call<Request, Answer>,
    peer: PeerId | undefined,
    cluster: string,
    body: Request,
  ): Promise<Answer>
  close(): void
}

/** What is known of who listens at an address. */
interface Recipient {
  epoch: string
  key: MacKey
}

interface State extends ClusterClientComponents {
  readonly agent: Agent
  /** Of the calls under way. */
  readonly endings: Set<AbortController>
  readonly recipients: Map<string, Recipient>
}

export function createClusterClient(components: ClusterClientComponents): ClusterClient {
  const agent = new Agent({
    keepAlive: true,
    maxSockets: limits.clusterConnectionsPerMember,
    timeout: limits.clusterIdleMs,
  })
  const state: State = { ...components, agent, endings: new Set(), recipients: new Map() }
  return {
    call: (call, peer, cluster, body) => callMember(state, call, peer ?? anyMember, cluster, body),
    close() {
      for (const ending of state.endings) ending.abort(new Error('the client was closed'))
      agent.destroy()
    },
  }
}

/** The machine is there and says that nobody listens: a process that ended, not a network that fails. */
export function isRefusal(error: unknown): boolean {
  return error instanceof Error && error.cause instanceof Error && codeOf(error.cause) === 'ECONNREFUSED'
}

function codeOf(error: Error): string {
  return 'code' in error ? String(error.code) : error.name
}

async function callMember<Request, Answer>(
  state: State,
  call: Call<Request, Answer>,
  to: PeerId,
  cluster: string,
  body: Request,
): Promise<Answer> {
  const ending = new AbortController()
  // A timer that is cleared: a signal that times out makes an error, with its stack, for calls as well that ended long ago.
  const cancel = whenAwakeFor(call.withinMs, () => ending.abort(new Error('no answer came in time')))
  state.endings.add(ending)
  try {
    return await tryKeys(state, call, to, { cluster, body, signal: ending.signal })
  } finally {
    cancel()
    state.endings.delete(ending)
  }
}

interface Told<Request> {
  readonly cluster: string
  readonly body: Request
  readonly signal: AbortSignal
}

async function tryKeys<Request, Answer>(
  state: State,
  call: Call<Request, Answer>,
  to: PeerId,
  { cluster, body, signal }: Told<Request>,
): Promise<Answer> {
  const recipient = recipientAt(state, cluster)
  const written = call.writeRequest(body)
  for (const key of [recipient.key, ...state.keys.filter((other) => other !== recipient.key)]) {
    const shown = call.sealed === 'both' ? seal(key, written) : written
    const answer = await postFresh(state, { path: call.path, to, cluster, body: shown, signal }, recipient, key)
    if (answer === undefined) continue
    recipient.key = key
    const plain = call.sealed !== undefined ? unseal(key, answer.body) : answer.body
    const parsed = answer.status === 200 && plain !== undefined ? call.readAnswer(plain) : undefined
    if (parsed === undefined) throw unreachable(cluster, new Error(`it answered ${answer.status}, unreadably`))
    return parsed
  }
  throw new ShoalError('CLUSTER_MAC_WRONG', `The listener at ${cluster} is no member as far as it proves`)
}

interface Exchange {
  readonly path: string
  readonly to: PeerId
  readonly cluster: string
  readonly body: Buffer
  /** Aborted when its caller has waited long enough. */
  readonly signal: AbortSignal
}

/** Once more, over a new connection, where a kept one was found closed: all calls are idempotent. */
async function postAlive(
  state: State,
  exchange: Exchange,
  epoch: string,
  key: MacKey,
): Promise<CheckedAnswer | undefined> {
  try {
    return await post(state, exchange, epoch, key)
  } catch (error) {
    if (!wasClosed(error)) throw error
    return post(state, exchange, epoch, key)
  }
}

const closedCodes = new Set(['ECONNRESET', 'EPIPE'])

function wasClosed(error: unknown): boolean {
  return error instanceof Error && error.cause instanceof Error && closedCodes.has(codeOf(error.cause))
}

/** Once more with the token that the answer names, where ours was stale. */
async function postFresh(
  state: State,
  exchange: Exchange,
  recipient: Recipient,
  key: MacKey,
): Promise<CheckedAnswer | undefined> {
  const first = await postAlive(state, exchange, recipient.epoch, key)
  if (first === undefined) return undefined
  recipient.epoch = first.epoch
  if (first.status !== 401) return first
  const second = await postAlive(state, exchange, first.epoch, key)
  if (second !== undefined) recipient.epoch = second.epoch
  return second
}

function recipientAt({ recipients, keys }: State, cluster: string): Recipient {
  let recipient = recipients.get(cluster)
  if (recipient === undefined) {
    if (recipients.size >= limits.recipientsMax) recipients.clear()
    recipient = { epoch: '', key: keys[0] }
    recipients.set(cluster, recipient)
  }
  return recipient
}

interface CheckedAnswer {
  readonly status: number
  readonly epoch: string
  readonly body: Buffer
}

/** One try; undefined when what comes back is no answer of a member that knows the key. */
async function post(state: State, exchange: Exchange, epoch: string, key: MacKey): Promise<CheckedAnswer | undefined> {
  const { path, to, body } = exchange
  const covered = { from: state.self, to, nonce: randomToken(), epoch, bodyHash: hashOf(body) }
  const mac = requestMac(key, { method: 'POST', path, ...covered })
  const answer = await carry(state, exchange, writeMacHeaders({ key: key.id, ...covered, mac }))
  const told = readAnswerHeaders(answer.headers)
  if (told === undefined) return undefined
  const { epoch: current } = told
  const fields = { status: answer.status, requestMac: mac, epoch: current, bodyHash: hashOf(answer.body) }
  return isSameMac(told.mac, answerMac(key, fields)) ? { ...answer, epoch: current } : undefined
}

interface HttpAnswer {
  readonly status: number
  readonly headers: IncomingHttpHeaders
  readonly body: Buffer
}

async function carry(state: State, exchange: Exchange, headers: Record<string, string>): Promise<HttpAnswer> {
  try {
    return await ask(state, exchange, headers)
  } catch (cause) {
    throw unreachable(exchange.cluster, cause)
  }
}

/** By `node:http`, as the server: the two have most of their code in common, and at a few calls a second none of it is ever hot. */
async function ask(state: State, exchange: Exchange, headers: Record<string, string>): Promise<HttpAnswer> {
  const { cluster, path, body, signal } = exchange
  signal.throwIfAborted()
  const { promise, resolve, reject } = Promise.withResolvers<HttpAnswer>()
  const options = { agent: state.agent, method: 'POST', headers: { ...headers, 'content-type': 'application/json' } }
  const running = request(`http://${cluster}${path}`, options, (response) => {
    readAnswer(response).then(resolve, reject)
  })
  running.on('error', reject)
  running.end(body)
  const stop = (): void => {
    reject(signal.reason)
    running.destroy()
  }
  signal.addEventListener('abort', stop)
  try {
    return await promise
  } finally {
    signal.removeEventListener('abort', stop)
  }
}

function readAnswer(response: IncomingMessage): Promise<HttpAnswer> {
  const { promise, resolve, reject } = Promise.withResolvers<HttpAnswer>()
  const parts: Buffer[] = []
  let length = 0
  response.on('data', (part: Buffer) => {
    parts.push(part)
    length += part.length
    if (length > limits.clusterAnswerMaxBytes) response.destroy(new Error('its answer is too large'))
  })
  response.on('end', () =>
    resolve({ status: response.statusCode ?? 0, headers: response.headers, body: Buffer.concat(parts) }),
  )
  response.on('error', reject)
  return promise
}

function unreachable(cluster: string, cause: unknown): ShoalError {
  return new ShoalError('CLUSTER_UNREACHABLE', `Calling the member at ${cluster} failed: ${String(cause)}`, { cause })
}
