/**
 * A small, correct, read-only OCI registry that serves image layouts, counts every byte it sends, and breaks on demand.
 * It is the origin of the demo, of the benches and of the tests.
 */
import { once } from 'node:events'
import { type FileHandle, open } from 'node:fs/promises'
import http from 'node:http'
import net from 'node:net'
import { parseDigest } from '../../core/oci/digest.ts'
import { type OciErrorCode, ociErrorBody } from '../../core/oci/errors.ts'
import { KiB } from '../../core/units.ts'
import { type Descriptor, type Image, blobPath, mediaTypes } from './image.ts'
import { type AccessControl, type OriginAccess, createAccessControl } from './origin-access.ts'
import { type Fault, type Faults, createFaults } from './origin-faults.ts'
import { type Throttle, createThrottle, unthrottled } from './throttle.ts'

export interface OriginOptions {
  /** Repository name to image. */
  readonly repositories: Readonly<Record<string, Image>>
  /** Default: 127.0.0.1 and a free port. */
  readonly host?: string
  readonly port?: number
  /** Shared by all responses. Default: unlimited. */
  readonly rateBytesPerSecond?: number
  /** Default: open to all. */
  readonly access?: OriginAccess
}

export interface OriginRequest {
  readonly method: string
  readonly url: string
  readonly range: string | undefined
  readonly authorized: boolean
  /** 0 until the headers are out. */
  status: number
  /** Bytes of the body that the kernel took; an aborted GET counts with what it got. */
  bodyBytes: number
}

export interface Origin {
  /** `host:port`: what stands before the repository in a reference. */
  readonly address: string
  /** Every request so far; the running ones still change. */
  readonly requests: readonly OriginRequest[]
  /** Body bytes of all requests so far. */
  bytesSent(): number
  inject(fault: Fault): void
  clearFaults(): void
  /** Whether a Range request gets 200 and the whole blob, as some origins answer. */
  ignoreRange(ignore: boolean): void
  /** Ends every connection, and from then on resets every new one at once, as where a service has crashed. */
  die(): Promise<void>
  /** How many connections it has reset while dead. */
  resetConnections(): number
  /** Listens again, at the same address, unless it does already. */
  comeBack(): Promise<void>
  close(): Promise<void>
}

/** What answering needs, besides the request. */
interface Service {
  readonly repositories: ReadonlyMap<string, Image>
  readonly access: AccessControl
  readonly throttle: Throttle
  readonly faults: Faults
  address: string
  ignoresRange: boolean
}

interface Exchange {
  readonly request: http.IncomingMessage
  readonly response: http.ServerResponse
  readonly record: OriginRequest
}

export async function startOrigin(options: OriginOptions): Promise<Origin> {
  const service: Service = {
    repositories: new Map(Object.entries(options.repositories)),
    access: createAccessControl(options.access),
    throttle: options.rateBytesPerSecond === undefined ? unthrottled : createThrottle(options.rateBytesPerSecond),
    faults: createFaults(),
    address: '',
    ignoresRange: false,
  }
  const requests: OriginRequest[] = []
  const server = http.createServer((request, response) => {
    const record = recordOf(request)
    requests.push(record)
    answer(service, { request, response, record }).catch((error: Error) => response.destroy(error))
  })
  let resetConnections = 0
  const corpse = net.createServer((socket) => {
    resetConnections++
    socket.resetAndDestroy()
  })
  const { address: host, port } = await listen(server, options.host ?? '127.0.0.1', options.port ?? 0)
  service.address = `${host}:${port}`
  return {
    address: service.address,
    requests,
    bytesSent: () => requests.reduce((sum, request) => sum + request.bodyBytes, 0),
    inject: (fault) => service.faults.add(fault),
    clearFaults: () => service.faults.clear(),
    ignoreRange: (ignore) => void (service.ignoresRange = ignore),
    async die() {
      await stopListening(server)
      await listen(corpse, host, port)
    },
    resetConnections: () => resetConnections,
    async comeBack() {
      await stopListening(corpse)
      if (!server.listening) await listen(server, host, port)
    },
    close: async () => void (await Promise.all([stopListening(server), stopListening(corpse)])),
  }
}

async function listen(server: net.Server, host: string, port: number): Promise<net.AddressInfo> {
  server.listen(port, host)
  await once(server, 'listening')
  return boundAddress(server)
}

async function stopListening(server: net.Server): Promise<void> {
  if (!server.listening) return
  const closed = once(server, 'close')
  server.close()
  if (server instanceof http.Server) server.closeAllConnections()
  await closed
}

export function boundAddress(server: net.Server): net.AddressInfo {
  const address = server.address()
  if (address === null || typeof address === 'string') throw new TypeError('not a listening TCP server')
  return address
}

function recordOf({ method = '', url = '', headers }: http.IncomingMessage): OriginRequest {
  const authorized = headers.authorization !== undefined
  return { method, url, range: headers.range, authorized, status: 0, bodyBytes: 0 }
}

const pathGrammar = /^\/v2\/(?<repository>.+)\/(?<kind>manifests|blobs|tags|referrers)\/(?<reference>[^/]+)$/

async function answer(service: Service, exchange: Exchange): Promise<void> {
  const { pathname } = new URL(exchange.request.url ?? '/', 'http://origin')
  if (pathname === '/token') return answerToken(service, exchange)
  const { repository = '', kind = '', reference = '' } = pathGrammar.exec(pathname)?.groups ?? {}
  const challenge = service.access.challenge(exchange.request, `http://${service.address}`, repository)
  if (challenge !== undefined) {
    exchange.response.setHeader('WWW-Authenticate', challenge)
    return sendError(exchange, 401, 'UNAUTHORIZED')
  }
  if (pathname === '/v2/') return sendJson(exchange, 200, {})
  if (exchange.request.method !== 'GET' && exchange.request.method !== 'HEAD')
    return sendError(exchange, 405, 'UNSUPPORTED')
  const image = service.repositories.get(repository)
  if (image === undefined) return sendError(exchange, 404, 'NAME_UNKNOWN')
  switch (kind) {
    case 'manifests':
      return sendContent(service, exchange, image, findManifest(image, reference))
    case 'blobs':
      return sendContent(service, exchange, image, findBlob(image, reference))
    case 'tags':
      return sendJson(exchange, 200, { name: repository, tags: [image.tag] })
    default:
      return sendJson(exchange, 200, { schemaVersion: 2, mediaType: mediaTypes.index, manifests: [] })
  }
}

async function answerToken(service: Service, exchange: Exchange): Promise<void> {
  const token = await service.access.token(exchange.request)
  if (token === undefined) return sendError(exchange, 401, 'UNAUTHORIZED')
  return sendJson(exchange, 200, { token, access_token: token, expires_in: 300 })
}

function findManifest(image: Image, reference: string): Descriptor | undefined {
  if (reference === image.tag) return image.index
  return [image.index, ...image.platforms.map(({ manifest }) => manifest)].find(({ digest }) => digest === reference)
}

function findBlob(image: Image, reference: string): Descriptor | undefined {
  const digest = parseDigest(reference)
  const blob = image.platforms
    .flatMap(({ config, layers }) => [config, ...layers])
    .find((each) => each.digest === digest)
  return blob && { ...blob, mediaType: 'application/octet-stream' }
}

async function sendContent(
  service: Service,
  exchange: Exchange,
  image: Image,
  content: Descriptor | undefined,
): Promise<void> {
  const { request, response } = exchange
  if (content === undefined)
    return sendError(exchange, 404, request.url?.includes('/blobs/') ? 'BLOB_UNKNOWN' : 'MANIFEST_UNKNOWN')
  const range = parseRange(service.ignoresRange ? undefined : request.headers.range, content.size)
  response.setHeader('Accept-Ranges', 'bytes')
  if (range === 'unsatisfiable') {
    response.setHeader('Content-Range', `bytes */${content.size}`)
    return sendError(exchange, 416, 'SIZE_INVALID')
  }
  const { start, end, partial } = range
  if (partial) response.setHeader('Content-Range', `bytes ${start}-${end - 1}/${content.size}`)
  startResponse(exchange, partial ? 206 : 200, {
    'Content-Type': content.mediaType,
    'Content-Length': end - start,
    'Docker-Content-Digest': content.digest,
    ETag: `"${content.digest}"`,
  })
  if (request.method === 'HEAD') return void response.end()
  await using file = await open(blobPath(image.directory, content.digest))
  await sendBody(service, exchange, { file, content, start, end })
}

interface Body {
  readonly file: FileHandle
  readonly content: Descriptor
  readonly start: number
  readonly end: number
}

/** Piece by piece, each counted when the kernel has it, so that an aborted GET counts with what really left. */
async function sendBody(
  service: Service,
  { response, record }: Exchange,
  { file, content, start, end }: Body,
): Promise<void> {
  const fault = service.faults.take(content.digest, start, end)
  const cut = fault === undefined || fault.kind === 'corrupt' ? end : fault.atByte
  const buffer = Buffer.allocUnsafe(pieceBytes)
  for (let offset = start; offset < cut;) {
    const { bytesRead } = await file.read(buffer, 0, Math.min(pieceBytes, cut - offset), offset)
    await service.throttle.take(bytesRead)
    const piece = buffer.subarray(0, bytesRead)
    if (fault?.kind === 'corrupt') corrupt(piece, fault.atByte - offset)
    if (!(await write(response, piece))) return
    record.bodyBytes += bytesRead
    offset += bytesRead
  }
  if (cut === end) response.end()
  else breakOff(response, fault)
}

const pieceBytes = 64 * KiB

function corrupt(piece: Buffer, at: number): void {
  const byte = piece[at]
  if (byte !== undefined) piece[at] = byte ^ 1
}

/** False when the client has gone. */
function write(response: http.ServerResponse, piece: Buffer): Promise<boolean> {
  return new Promise((resolve) => {
    if (response.destroyed) return resolve(false)
    const gone = () => resolve(false)
    response.once('close', gone)
    response.write(piece, (error) => {
      response.off('close', gone)
      resolve(error === undefined || error === null)
    })
  })
}

function breakOff({ socket }: http.ServerResponse, fault: Fault | undefined): void {
  if (fault?.kind === 'end') socket?.end()
  if (fault?.kind === 'reset') socket?.resetAndDestroy()
}

type OriginRange = { readonly start: number; readonly end: number; readonly partial: boolean } | 'unsatisfiable'

/** One range; several at once are answered with the whole content, which RFC 9110 allows. */
function parseRange(header: string | undefined, size: number): OriginRange {
  const match = /^bytes=(\d*)-(\d*)$/.exec(header ?? '')
  const [, first = '', last = ''] = match ?? []
  if (first === '' && last === '') return { start: 0, end: size, partial: false }
  const start = first === '' ? Math.max(0, size - Number(last)) : Number(first)
  const end = first === '' || last === '' ? size : Math.min(size, Number(last) + 1)
  return start < end ? { start, end, partial: true } : 'unsatisfiable'
}

function startResponse({ response, record }: Exchange, status: number, headers: http.OutgoingHttpHeaders): void {
  record.status = status
  response.writeHead(status, headers)
}

function sendError(exchange: Exchange, status: number, code: OciErrorCode): void {
  sendJson(exchange, status, ociErrorBody(code, `${code} (the demo's origin)`))
}

function sendJson(exchange: Exchange, status: number, body: object): void {
  const bytes = Buffer.from(JSON.stringify(body))
  startResponse(exchange, status, { 'Content-Type': 'application/json', 'Content-Length': bytes.length })
  exchange.record.bodyBytes += exchange.request.method === 'HEAD' ? 0 : bytes.length
  exchange.response.end(bytes)
}
