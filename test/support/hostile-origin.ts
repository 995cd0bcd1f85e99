/**
 * A server that answers as a test tells it, and remembers what it was sent. `serveRegistry` answers as a registry
 * should; the hostile tests put their own answers before it or in its place.
 */
import { once } from 'node:events'
import http from 'node:http'
import https from 'node:https'
import type { AddressInfo, Socket } from 'node:net'
import { parseDigest } from '../../core/oci/digest.ts'
import type { Repositories, Repository } from './registry-content.ts'
import type { Certificate } from './tls-authority.ts'

export interface SeenRequest {
  readonly method: string
  readonly url: string
  readonly headers: http.IncomingHttpHeaders
}

export type Respond = (request: http.IncomingMessage, response: http.ServerResponse) => void

export interface HostileOrigin {
  /** `127.0.0.1:port`, or `<host>:port` under another name for that address. */
  readonly host: string
  readonly port: number
  readonly url: string
  readonly seen: readonly SeenRequest[]
  /** Sockets that are open now. */
  readonly connections: ReadonlySet<Socket>
  /** Answers from now on. */
  respond(answer: Respond): void
  stop(): Promise<void>
}

export interface HostileOriginOptions {
  readonly answer?: Respond
  /** Speaks TLS with it. */
  readonly certificate?: Certificate
  /** The name it goes by; 127.0.0.1 unless given. */
  readonly host?: string
}

export async function startHostileOrigin(options: HostileOriginOptions = {}): Promise<HostileOrigin> {
  let answer = options.answer ?? plain(404)
  const seen: SeenRequest[] = []
  const connections = new Set<Socket>()
  const listener: http.RequestListener = (request, response) => {
    seen.push({ method: request.method ?? '', url: request.url ?? '', headers: request.headers })
    answer(request, response)
  }
  const { certificate } = options
  const server = certificate === undefined ? http.createServer(listener) : https.createServer(certificate, listener)
  server.on('connection', (socket: Socket) => {
    connections.add(socket)
    socket.once('close', () => connections.delete(socket))
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  const host = `${options.host ?? '127.0.0.1'}:${port}`
  return {
    host,
    port,
    url: `${certificate === undefined ? 'http' : 'https'}://${host}`,
    seen,
    connections,
    respond(next) {
      answer = next
    },
    async stop() {
      server.closeAllConnections()
      await new Promise((resolve) => server.close(resolve))
    },
  }
}

/** An answer with this status, these headers and this body. */
export function plain(status: number, headers: http.OutgoingHttpHeaders = {}, body: string | Uint8Array = ''): Respond {
  return (_, response) => response.writeHead(status, headers).end(body)
}

/** The answers one after the other; the last one for ever. */
export function inTurn(...answers: readonly Respond[]): Respond {
  let next = 0
  return (request, response) => {
    const answer = answers[Math.min(next++, answers.length - 1)]
    answer?.(request, response)
  }
}

/** By path, query aside. */
export function byPath(answers: Readonly<Record<string, Respond>>): Respond {
  return (request, response) => {
    const { pathname } = new URL(request.url ?? '', 'http://origin')
    const answer = answers[pathname] ?? plain(404)
    answer(request, response)
  }
}

export function redirectTo(location: string, status = 307): Respond {
  return plain(status, { location })
}

/** Answers as a correct registry that holds `repositories`. */
export function serveRegistry(repositories: Repositories): Respond {
  return (request, response) => {
    const { pathname } = new URL(request.url ?? '', 'http://origin')
    const [, name = '', kind = '', reference = ''] =
      /^\/v2\/(.+)\/(manifests|blobs|tags)\/([^/]+)$/.exec(pathname) ?? []
    const repository = repositories[name]
    if (repository === undefined) return refuse(response, 404, 'NAME_UNKNOWN')
    if (repository.authorization !== undefined && request.headers.authorization !== repository.authorization) {
      response.setHeader('www-authenticate', 'Basic realm="test"')
      return refuse(response, 401, 'UNAUTHORIZED')
    }
    if (kind === 'tags') return sendJson(response, { name, tags: [...repository.tags.keys()] })
    return kind === 'blobs'
      ? sendBlob(repository, reference, request, response)
      : sendManifest(repository, reference, response)
  }
}

function refuse(response: http.ServerResponse, status: number, code: string): void {
  sendJson(response.writeHead(status), { errors: [{ code, message: 'as the test wants it' }] })
}

function sendJson(response: http.ServerResponse, value: unknown): void {
  if (!response.headersSent) response.writeHead(200, { 'content-type': 'application/json' })
  response.end(JSON.stringify(value))
}

function sendManifest(repository: Repository, reference: string, response: http.ServerResponse): void {
  const digest = parseDigest(reference) ?? repository.tags.get(reference)
  const manifest = digest && repository.manifests.get(digest)
  if (manifest === undefined) return refuse(response, 404, 'MANIFEST_UNKNOWN')
  const headers = { 'content-type': manifest.mediaType, 'docker-content-digest': digest }
  response.writeHead(200, { ...headers, 'content-length': manifest.body.length }).end(manifest.body)
}

function sendBlob(
  repository: Repository,
  reference: string,
  request: http.IncomingMessage,
  response: http.ServerResponse,
): void {
  const digest = parseDigest(reference)
  const blob = digest && repository.blobs.get(digest)
  if (blob === undefined) return refuse(response, 404, 'BLOB_UNKNOWN')
  sendBytes(blob, request, response)
}

/** As a static file server: ranges of one part. */
export function sendBytes(bytes: Uint8Array, request: http.IncomingMessage, response: http.ServerResponse): void {
  const [, first, last] = /^bytes=(\d+)-(\d+)$/.exec(request.headers.range ?? '') ?? []
  if (first === undefined || last === undefined) {
    response.writeHead(200, { 'content-length': bytes.length }).end(bytes)
    return
  }
  if (Number(first) >= bytes.length) {
    response.writeHead(416, { 'content-range': `bytes */${bytes.length}` }).end()
    return
  }
  const part = bytes.subarray(Number(first), Number(last) + 1)
  const range = `bytes ${first}-${Number(first) + part.length - 1}/${bytes.length}`
  response.writeHead(206, { 'content-range': range, 'content-length': part.length }).end(part)
}
