/**
 * Pulls an image as containerd does (HEAD the tag, then index, manifest, config, then layers three at a time; the
 * next host on any error before the body; a Range request after an early FIN), checks every digest and keeps nothing.
 */
import { createHash } from 'node:crypto'
import http from 'node:http'
import { text } from 'node:stream/consumers'
import { parseDigest } from '../../core/oci/digest.ts'
import { type Descriptor, mediaTypes } from './image.ts'

export interface PullOptions {
  /** Base URLs in the order in which they are asked: the mirror, then (or only) the origin. */
  readonly hosts: readonly string[]
  /** Registry, repository and tag or digest of the reference. */
  readonly origin: string
  readonly repository: string
  readonly reference: string
  /** Default: amd64. */
  readonly architecture?: string
  /** Layers at a time. Default: 3, as containerd. */
  readonly concurrency?: number
  /** Called for each piece of a body with its length. */
  readonly onBytes?: (bytes: number) => void
  /** The `Authorization` that answers a host's `WWW-Authenticate`; asked again when a host says 401 to it. */
  readonly authorize?: (challenge: string) => Promise<string | undefined>
  /** Called when the manifest is known: what the pull will move in all. */
  readonly onTotal?: (bytes: number) => void
}

/** Times are milliseconds since the epoch, so that those of several processes compare. */
export interface PullResult {
  readonly startedAtMs: number
  /** When the first byte of the first layer was in hand. */
  readonly firstLayerByteAtMs: number
  readonly endedAtMs: number
  /** All that was pulled, each checked against its digest. */
  readonly blobs: readonly Descriptor[]
}

interface Client extends PullOptions {
  readonly connections: http.Agent
  /** What each host took last. */
  readonly authorizations: Map<string, string>
  /** Aborted with the pull: one layer that fails ends the others. */
  readonly signal: AbortSignal
}

export async function pullImage(options: PullOptions): Promise<PullResult> {
  const ended = new AbortController()
  const connections = new http.Agent({ keepAlive: true })
  const client = { ...options, connections, authorizations: new Map(), signal: ended.signal }
  try {
    return await pull(client)
  } finally {
    ended.abort()
    client.connections.destroy()
  }
}

async function pull(client: Client): Promise<PullResult> {
  const startedAtMs = nowMs()
  const index = await resolveTag(client)
  const { manifests }: Index = JSON.parse(String(await fetchWhole(client, index)))
  const manifest = manifests.find(({ platform }) => platform.architecture === (client.architecture ?? 'amd64'))
  if (manifest === undefined) throw new Error(`the index has no ${client.architecture}`)
  const { config, layers }: Manifest = JSON.parse(String(await fetchWhole(client, manifest)))
  const blobs = [index, manifest, config, ...layers]
  client.onTotal?.(blobs.reduce((sum, { size }) => sum + size, 0))
  await fetchWhole(client, config)
  let firstLayerByteAtMs = 0
  const waiting = [...layers]
  const takeLayers = async () => {
    for (let layer = waiting.shift(); layer !== undefined; layer = waiting.shift()) {
      await fetchContent(client, layer, () => (firstLayerByteAtMs ||= nowMs()))
    }
  }
  await Promise.all(Array.from({ length: client.concurrency ?? 3 }, takeLayers))
  return { startedAtMs, firstLayerByteAtMs, endedAtMs: nowMs(), blobs }
}

function nowMs(): number {
  return performance.timeOrigin + performance.now()
}

// What a checked digest vouches for needs no schema: the images are our own.
interface Index {
  readonly manifests: readonly (Descriptor & { readonly platform: { readonly architecture: string } })[]
}
interface Manifest {
  readonly config: Descriptor
  readonly layers: readonly Descriptor[]
}

/** The descriptor that containerd builds from a HEAD's headers. */
async function resolveTag(client: Client): Promise<Descriptor> {
  const response = await firstAnswer(client, 'HEAD', `manifests/${client.reference}`, mediaTypes.index, 0)
  response.resume()
  const { 'content-type': mediaType = '', 'content-length': size, 'docker-content-digest': header } = response.headers
  const digest = parseDigest(String(header))
  if (digest === undefined) throw new Error(`HEAD of the manifest: Docker-Content-Digest is ${String(header)}`)
  return { mediaType, digest, size: Number(size) }
}

async function fetchWhole(client: Client, content: Descriptor): Promise<Buffer> {
  const pieces: Buffer[] = []
  await fetchContent(client, content, (piece) => pieces.push(piece))
  return Buffer.concat(pieces)
}

/** Reads one blob or manifest to its end; throws when it is not what its descriptor says. */
async function fetchContent(client: Client, content: Descriptor, onPiece: (piece: Buffer) => void): Promise<void> {
  const hash = createHash('sha256')
  const isManifest = content.mediaType === mediaTypes.index || content.mediaType === mediaTypes.manifest
  const path = `${isManifest ? 'manifests' : 'blobs'}/${content.digest}`
  let received = 0
  let emptyTries = 0
  while (received < content.size) {
    const before = received
    const response = await firstAnswer(client, 'GET', path, content.mediaType, received)
    for await (const piece of untilEnd(response)) {
      hash.update(piece)
      received += piece.length
      onPiece(piece)
      client.onBytes?.(piece.length)
    }
    if (received === before && ++emptyTries === 4) throw new Error(`${path}: unexpected EOF at ${received}`)
  }
  const digest = `sha256:${hash.digest('hex')}`
  if (digest !== content.digest || received !== content.size)
    throw new Error(`${path}: got ${received} bytes, ${digest}`)
}

/** A body that ends early by FIN just ends here; a reset throws, as it fails containerd's pull. */
async function* untilEnd(response: http.IncomingMessage): AsyncGenerator<Buffer> {
  try {
    yield* response
  } catch (error) {
    if (!(error instanceof Error && 'code' in error && error.code === 'ECONNRESET' && error.message === 'aborted'))
      throw error
  }
}

/** The first host's 2xx; any other answer, and a connection that fails before one, moves on to the next host. */
async function firstAnswer(
  client: Client,
  method: 'GET' | 'HEAD',
  path: string,
  accept: string,
  offset: number,
): Promise<http.IncomingMessage> {
  const failures: string[] = []
  for (const host of client.hosts) {
    const url = new URL(`/v2/${client.repository}/${path}`, host)
    if (url.host !== client.origin) url.searchParams.set('ns', client.origin)
    const headers = { accept: `${accept}, */*`, ...(offset > 0 ? { range: `bytes=${offset}-` } : {}) }
    const answer = await ask(client, url, { method, headers }).catch((error: Error) => error)
    if (answer instanceof Error) failures.push(`${url.href}: ${answer.message}`)
    else if (answer.statusCode === (offset > 0 ? 206 : 200)) return answer
    else failures.push(`${url.href}: HTTP ${answer.statusCode} ${await reasonIn(answer)}`)
  }
  throw new Error(`no host has it: ${failures.join('; ')}`)
}

/** What an error in the OCI format says; any other body is let go by. */
async function reasonIn(answer: http.IncomingMessage): Promise<string> {
  if (answer.headers['content-type']?.startsWith('application/json') === true) return text(answer).catch(() => '')
  answer.resume()
  return ''
}

/** How often containerd answers the challenges of one request (remotes/docker/resolver.go), and that of a token called invalid. */
const challengesMax = 5
const invalidMax = 1

/** Shows nothing until the host asks for it, and something else when it asks again. */
async function ask(
  client: Client,
  url: URL,
  options: { readonly method: string; readonly headers: Readonly<Record<string, string>> },
): Promise<http.IncomingMessage> {
  const { connections: agent, signal, authorizations } = client
  const send = () => {
    const authorization = authorizations.get(url.host)
    const headers = { ...options.headers, ...(authorization !== undefined && { authorization }) }
    return request(url, { ...options, headers, agent, signal })
  }
  let invalid = 0
  for (let challenges = 0; ; challenges++) {
    const answer = await send()
    const challenge = answer.statusCode === 401 ? answer.headers['www-authenticate'] : undefined
    if (challenge?.includes('error=') === true) invalid++
    if (challenge === undefined || challenges === challengesMax || invalid > invalidMax) return answer
    const authorization = await client.authorize?.(challenge)
    if (authorization === undefined) return answer
    answer.resume()
    authorizations.set(url.host, authorization)
  }
}

/** A reset in mid-body is an error of the request; Node's response tells it from a FIN only when destroyed with it. */
function request(url: URL, options: http.RequestOptions): Promise<http.IncomingMessage> {
  return new Promise((resolve, reject) => {
    const sent = http.request(url, options, resolve)
    sent.on('error', reject)
    sent.once('response', (response) => sent.on('error', (error) => response.destroy(error)))
    sent.end()
  })
}
