/**
 * Where other members ask this one: HTTP/1.1 with a MAC over each message. Who does not know the cluster secret gets a
 * bare 401 or 404 and nothing read: the MAC covers the body's hash, so it is checked before a byte of the body is kept.
 */
import { once } from 'node:events'
import { STATUS_CODES } from 'node:http'
import { createServer, type Server, type Socket } from 'node:net'
import { createTurns, type Turns } from '../../core/directory/turns.ts'
import { limits } from '../../core/limits.ts'
import type { Clock, PeerId } from '../../core/ports.ts'
import type { HostPort } from '../config-values.ts'
import { listenError } from '../listen-error.ts'
import { portOf } from '../system/port-of.ts'
import { plainHost } from '../transport/addresses.ts'
import { createEpochs } from './epochs.ts'
import type { Epochs } from './epochs.ts'
import { readMacHeaders, writeAnswerHeaders } from './headers.ts'
import type { MacHeaders } from './headers.ts'
import { createReader, type Head, type Reader, writeMessage } from './http.ts'
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
  readonly connections: Set<Connection>
}

interface Connection {
  readonly clock: Clock
  readonly socket: Socket
  readonly reader: Reader
  /** The IP address at its other end. */
  readonly address: string
  /** What is awaited of its other end must have come by then; Infinity: that waits for this member. */
  untilMs: number
}

export function createClusterServer(components: ClusterServerComponents): ClusterServer {
  const { clock } = components
  const turns = createTurns({ clock, soon: setImmediate })
  const state: State = { ...components, epochs: createEpochs(clock), turns, connections: new Set() }
  const server = createServer({ noDelay: true }, (socket) => void serveAll(state, socket))
  server.maxConnections = limits.clusterConnectionsMax
  const looking = setInterval(() => endLate(state), limits.clusterRequestMs).unref()
  return {
    listen: (at) => listen(server, at),
    async close() {
      clearInterval(looking)
      await close(state, server)
    },
  }
}

async function listen(server: Server, at: HostPort): Promise<HostPort> {
  await new Promise<void>((resolve, reject) => {
    server.once('error', (cause) => reject(listenError('cluster', at, cause)))
    server.listen({ host: at.host, port: at.port, backlog: limits.clusterBacklogMax }, resolve)
  })
  return { host: at.host, port: portOf(server.address()) }
}

async function close({ connections }: State, server: Server): Promise<void> {
  const closed = new Promise<void>((resolve) => {
    server.close(() => resolve())
  })
  for (const { socket } of connections) socket.destroy()
  await closed
}

function endLate({ connections }: State): void {
  for (const { clock, socket, untilMs } of connections) if (untilMs <= clock.now()) socket.destroy()
}

/** One request after another, until one of the two ends the connection. */
async function serveAll(state: State, socket: Socket): Promise<void> {
  const connection: Connection = {
    clock: state.clock,
    socket,
    reader: createReader(socket),
    address: plainHost(socket.remoteAddress ?? ''),
    untilMs: Infinity,
  }
  state.connections.add(connection)
  socket.once('close', () => state.connections.delete(connection))
  try {
    let isKept = await serveNext(state, connection, limits.clusterRequestMs)
    while (isKept) isKept = await serveNext(state, connection, limits.clusterKeepAliveMs)
    socket.destroySoon()
  } catch {
    socket.destroy()
  }
}

/** False when it is refused, which ends its connection. */
async function serveNext(state: State, connection: Connection, withinMs: number): Promise<boolean> {
  const { address, reader, socket } = connection
  const head = await timely(connection, withinMs, reader.head(limits.clusterHeadersMaxBytes))
  const route = state.routes.find(({ path }) => head.line === `POST ${path} HTTP/1.1`)
  const headers = readMacHeaders(head.headers)
  const key = route && headers && authenticate(state, route, headers)
  if (route === undefined || headers === undefined || key === undefined)
    return refuse(connection, head, route === undefined ? 404 : 401)
  if (route.inTurn(headers.from)) await new Promise<void>((resolve) => state.turns.wait(resolve))
  // Cut off while it waited for its turn: it says no more.
  if (socket.destroyed) return false
  const admission = state.epochs.admit(headers.epoch, headers.nonce)
  if (admission === 'replayed' || head.length > limits.clusterRequestMaxBytes) return refuse(connection, head, 401)
  const body = await timely(connection, limits.clusterRequestMs, reader.body(head.length))
  if (hashOf(body) !== headers.bodyHash) return refuse(connection, undefined, 401)
  const asked = route.sealed === 'both' ? unseal(key, body) : body
  const isHeard = admission === 'fresh' && asked !== undefined
  const answer = isHeard ? await route.handle(headers.from, asked, address) : undefined
  const status = answer !== undefined ? 200 : admission === 'stale' ? 401 : 400
  const shown = answer !== undefined && route.sealed !== undefined ? seal(key, answer) : answer
  const message = answerOf(state, key, headers, status, shown ?? Buffer.alloc(0))
  // Who does not read what it asked for asks no more.
  if (!socket.write(message)) await timely(connection, limits.clusterKeepAliveMs, once(socket, 'drain'))
  return true
}

async function timely<Part>(connection: Connection, withinMs: number, coming: Promise<Part>): Promise<Part> {
  connection.untilMs = connection.clock.now() + withinMs
  const part = await coming
  connection.untilMs = Infinity
  return part
}

/** The key by which the request is authentic and meant for this member; else undefined. */
function authenticate(state: State, route: ClusterRoute, headers: MacHeaders): MacKey | undefined {
  const key = state.keys.find(({ id }) => id === headers.key)
  if (key === undefined) return undefined
  if (!isSameMac(headers.mac, requestMac(key, { method: 'POST', ...headers, path: route.path }))) return undefined
  const isMeant = headers.to === state.self || (headers.to === anyMember && route.byAddress)
  return isMeant ? key : undefined
}

function answerOf(state: State, key: MacKey, to: MacHeaders, status: number, body: Buffer): Buffer {
  const epoch = state.epochs.current()
  const mac = answerMac(key, { status, requestMac: to.mac, epoch, bodyHash: hashOf(body) })
  return writeMessage(statusLine(status), writeAnswerHeaders({ epoch, mac }), body)
}

function statusLine(status: number): string {
  return `HTTP/1.1 ${status} ${STATUS_CODES[status]}`
}

/** Says nothing. A small body is read and dropped, since closing before it would cost its sender the answer. */
async function refuse(connection: Connection, unread: Head | undefined, status: 401 | 404): Promise<false> {
  const { reader, socket } = connection
  if (unread !== undefined && unread.length <= limits.clusterDrainMaxBytes)
    await timely(connection, limits.clusterRequestMs, reader.body(unread.length))
  socket.write(writeMessage(statusLine(status), { connection: 'close' }, Buffer.alloc(0)))
  return false
}
