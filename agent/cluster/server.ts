/**
 * Where other members ask this one: HTTP/1.1 with a MAC over each message. Who does not know the cluster secret gets a
 * bare 401 or 404 and nothing read: the MAC covers the body's hash, so it is checked before a byte of the body is kept.
 */
import { createServer } from 'node:http'
import type { IncomingMessage, Server, ServerResponse } from 'node:http'
import type { Socket } from 'node:net'
import { createTurns, type Turns } from '../../core/directory/turns.ts'
import { limits } from '../../core/limits.ts'
import type { Clock, PeerId } from '../../core/ports.ts'
import type { HostPort } from '../config-values.ts'
import { listenError } from '../listen-error.ts'
import { portOf } from '../system/port-of.ts'
import { plainHost } from '../transport/addresses.ts'
import { createCrowds } from '../transport/crowds.ts'
import { createEpochs } from './epochs.ts'
import type { Epochs } from './epochs.ts'
import { readMacHeaders, writeAnswerHeaders } from './headers.ts'
import type { MacHeaders } from './headers.ts'
import { answerMac, anyMember, hashOf, isSameMac, requestMac } from './mac.ts'
import type { MacKey, MacKeys } from './mac.ts'
import { seal, unseal } from './seal.ts'
import type { Call, Sealed } from './wire.ts'

export interface ClusterServerComponents {
  readonly clock: Clock
  readonly self: PeerId
  readonly keys: MacKeys
  readonly routes: readonly ClusterRoute[]
}

export interface ClusterRoute {
  readonly path: string
  /** May it be called by who knows only an address, not who listens there? */
  readonly byAddress: boolean
  /** A crowd asks this at once: these requests wait for one another, and let pass what else comes. */
  inTurn(from: PeerId): boolean
  readonly sealed?: Sealed
  /** Undefined when the body is malformed or speaks for another than `from`. `address`: the IP address from which it came. */
  handle(from: PeerId, body: Buffer, address: string): Promise<Buffer | undefined>
}

export interface ClusterServer {
  /** Rejects with `LISTEN_FAILED`. Gives where it listens, with the real port where 0 was asked for. */
  listen(at: HostPort): Promise<HostPort>
  close(): Promise<void>
}

/** A route for `call`; `fromOf` says for whom a request speaks. */
export function routeOf<Request, Answer>(
  call: Call<Request, Answer>,
  options: Pick<ClusterRoute, 'byAddress' | 'inTurn'>,
  fromOf: (request: Request) => PeerId,
  answer: (request: Request, address: string) => Answer | Promise<Answer>,
): ClusterRoute {
  return {
    path: call.path,
    ...options,
    ...(call.sealed === undefined ? {} : { sealed: call.sealed }),
    async handle(from, body, address) {
      const request = call.readRequest(body)
      if (request === undefined || fromOf(request) !== from) return undefined
      return call.writeAnswer(await answer(request, address))
    },
  }
}

interface State extends ClusterServerComponents {
  readonly epochs: Epochs
  readonly turns: Turns
  /** Bodies that are being read, the first one first. */
  readonly readings: Set<Held>
  /** What has come of them. */
  bodiesBytes: number
  /** Answers that their callers have not taken yet, the first one first. */
  readonly answers: Set<Untaken>
  answersBytes: number
}

/** What a caller has this host keep. */
interface Held {
  giveWay(): void
}

interface Untaken extends Held {
  /** The IP address of its caller. */
  readonly address: string
  readonly length: number
}

export function createClusterServer(components: ClusterServerComponents): ClusterServer {
  const { clock } = components
  const turns = createTurns({ clock, soon: setImmediate })
  const state: State = {
    ...components,
    epochs: createEpochs(clock),
    turns,
    readings: new Set(),
    bodiesBytes: 0,
    answers: new Set(),
    answersBytes: 0,
  }
  const server = createServer(
    {
      maxHeaderSize: limits.clusterHeadersMaxBytes,
      headersTimeout: limits.clusterRequestMs,
      requestTimeout: limits.clusterRequestMs,
      keepAliveTimeout: limits.clusterKeepAliveMs,
      connectionsCheckingInterval: limits.clusterRequestMs,
      noDelay: true,
    },
    (request, response) => void serve(state, request, response).catch(() => response.destroy()),
  )
  server.maxConnections = limits.clusterConnectionsMax
  server.on('connection', createDoor())
  return {
    listen: (at) => listen(server, at),
    close: () => close(server),
  }
}

/** Of those of one address the first gives way: its caller calls once more where it was idle. */
function createDoor(): (socket: Socket) => void {
  const open = createCrowds<Socket, Socket>()
  return (socket) => {
    const address = plainHost(socket.remoteAddress ?? '')
    socket.once('close', () => open.delete(address, socket))
    open.add(address, socket, socket)
    if (open.countOf(address) > limits.clusterConnectionsPerHostMax) open.takeFirst(address)?.destroy()
  }
}

async function listen(server: Server, at: HostPort): Promise<HostPort> {
  await new Promise<void>((resolve, reject) => {
    server.once('error', (cause) => reject(listenError('cluster', at, cause)))
    server.listen({ host: at.host, port: at.port, backlog: limits.clusterBacklogMax }, resolve)
  })
  return { host: at.host, port: portOf(server.address()) }
}

async function close(server: Server): Promise<void> {
  const closed = new Promise<void>((resolve) => {
    server.close(() => resolve())
  })
  server.closeAllConnections()
  await closed
}

async function serve(state: State, request: IncomingMessage, response: ServerResponse): Promise<void> {
  if (isBehindAnother(response)) {
    request.socket.destroy()
    return
  }
  const route = request.method === 'POST' ? state.routes.find(({ path }) => path === request.url) : undefined
  const headers = readMacHeaders(request.headers)
  const key = route && headers && authenticate(state, route, headers)
  if (route === undefined || headers === undefined || key === undefined) {
    await refuse(request, response, route === undefined ? 404 : 401)
    return
  }
  if (route.inTurn(headers.from)) await new Promise<void>((resolve) => state.turns.wait(resolve))
  const admission = state.epochs.admit(headers.epoch, headers.nonce)
  const body = admission === 'replayed' ? undefined : await readBody(state, request)
  if (body === undefined || hashOf(body) !== headers.bodyHash) {
    await refuse(request, response, 401)
    return
  }
  const asked = route.sealed === 'both' ? unseal(key, body) : body
  const address = plainHost(request.socket.remoteAddress ?? '')
  const isHeard = admission === 'fresh' && asked !== undefined
  const answer = isHeard ? await route.handle(headers.from, asked, address) : undefined
  const status = answer !== undefined ? 200 : admission === 'stale' ? 401 : 400
  const shown = answer !== undefined && route.sealed !== undefined ? seal(key, answer) : answer
  send(state, response, key, headers, status, shown ?? Buffer.alloc(0))
}

/**
 * Members await each answer before they use a connection again. Who does not would have any number of requests wait here: only
 * their connections are counted (`clusterConnectionsMax`). Node.js gives a response its socket when those before it are out.
 */
function isBehindAnother(response: ServerResponse): boolean {
  return response.socket === null
}

/** The key by which the request is authentic and meant for this member; else undefined. */
function authenticate(state: State, route: ClusterRoute, headers: MacHeaders): MacKey | undefined {
  const key = state.keys.find(({ id }) => id === headers.key)
  if (key === undefined) return undefined
  if (!isSameMac(headers.mac, requestMac(key, { method: 'POST', ...headers, path: route.path }))) return undefined
  const isMeant = headers.to === state.self || (headers.to === anyMember && route.byAddress)
  return isMeant ? key : undefined
}

/**
 * Undefined when it is too large or cut off, or gives way: where all that are being read are too much together, the one that began
 * first ends, since those of whoever sends slowly on purpose would else keep out all others.
 */
async function readBody(state: State, request: IncomingMessage): Promise<Buffer | undefined> {
  const { promise, resolve } = Promise.withResolvers<boolean>()
  // Cut off while it waited for its turn: it says no more.
  if (request.destroyed) resolve(false)
  const reading: Held = { giveWay: () => resolve(false) }
  state.readings.add(reading)
  const parts: Buffer[] = []
  let length = 0
  const onData = (part: Buffer): void => {
    parts.push(part)
    length += part.length
    state.bodiesBytes += part.length
    if (length > limits.clusterRequestMaxBytes) resolve(false)
    if (state.bodiesBytes > limits.clusterBodiesMaxBytes) for (const first of state.readings) return first.giveWay()
  }
  request.on('data', onData)
  request.on('end', () => resolve(true))
  request.on('error', () => resolve(false))
  const isWhole = await promise
  request.off('data', onData)
  state.readings.delete(reading)
  state.bodiesBytes -= length
  return isWhole ? Buffer.concat(parts) : undefined
}

function send(state: State, response: ServerResponse, key: MacKey, to: MacHeaders, status: number, body: Buffer): void {
  const epoch = state.epochs.current()
  const mac = answerMac(key, { status, requestMac: to.mac, epoch, bodyHash: hashOf(body) })
  response.sendDate = false
  response.writeHead(status, { ...writeAnswerHeaders({ epoch, mac }), 'content-length': body.length })
  response.end(body)
  awaitTaken(state, response, body.length)
}

/**
 * Who does not read it has its connection closed when nobody waits for such an answer any more; or before, where all that are not taken
 * are too much together: the first gives way of the address that has most, so that who reads nothing cuts off nobody who reads slowly.
 */
function awaitTaken(state: State, response: ServerResponse, length: number): void {
  // Its caller has gone already: nothing of it is kept, and that it is over is said no more.
  if (response.closed) return
  const answer: Untaken = { address: plainHost(response.socket?.remoteAddress ?? ''), length, giveWay }
  const late = setTimeout(giveWay, limits.clusterAnswerMs)
  function giveWay(): void {
    response.destroy()
    over()
  }
  function over(): void {
    clearTimeout(late)
    if (state.answers.delete(answer)) state.answersBytes -= length
  }
  state.answers.add(answer)
  state.answersBytes += length
  response.once('close', over)
  while (state.answersBytes > limits.clusterAnswersMaxBytes) {
    const first = firstOfMost(state.answers, answer)
    if (first === undefined) return
    first.giveWay()
  }
}

/** `last` stays: it has only begun. */
function firstOfMost(answers: ReadonlySet<Untaken>, last: Untaken): Untaken | undefined {
  const crowds = [...Map.groupBy(answers, ({ address }) => address).values()]
  const mostFirst = crowds.toSorted((one, other) => bytesOf(other) - bytesOf(one))
  return mostFirst.flat().find((answer) => answer !== last)
}

function bytesOf(answers: readonly Untaken[]): number {
  return answers.reduce((bytes, { length }) => bytes + length, 0)
}

/** Says nothing. A small body is read and dropped, since closing before it would cost its sender the answer. */
async function refuse(request: IncomingMessage, response: ServerResponse, status: 401 | 404): Promise<void> {
  const isSmall = Number(request.headers['content-length']) <= limits.clusterDrainMaxBytes
  if (isSmall && !request.readableEnded) await drop(request)
  response.sendDate = false
  response.writeHead(status, { 'content-length': 0, connection: 'close' })
  response.end()
}

function drop(request: IncomingMessage): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>()
  if (request.destroyed) resolve()
  request.on('end', resolve)
  request.on('error', resolve)
  request.on('close', resolve)
  request.resume()
  return promise
}
