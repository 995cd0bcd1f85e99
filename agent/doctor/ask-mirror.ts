/** Asks the mirror as containerd does: TLS under the CA that hosts.toml pins, then the headers that it carries. */
import { X509Certificate } from 'node:crypto'
import { once } from 'node:events'
import http, { type IncomingMessage } from 'node:http'
import net, { type Socket } from 'node:net'
import tls, { TLSSocket } from 'node:tls'
import type { MirrorAnswer } from '../../core/doctor/facts.ts'
import { limits } from '../../core/limits.ts'
import { noAnswer, reasonOf } from './reasons.ts'

export interface MirrorEntry {
  readonly url: string
  /** PEM; undefined: the usual CAs. */
  readonly ca: string | undefined
  readonly headers: Readonly<Record<string, string | readonly string[]>>
}

/** `path` with its query; `agentCa` is the CA of this node's data directory, where there is one. */
export async function askMirror(entry: MirrorEntry, path: string, agentCa: string | undefined): Promise<MirrorAnswer> {
  const url = new URL(entry.url)
  const signal = AbortSignal.timeout(limits.doctorQuestionMs)
  let socket: Socket | undefined
  try {
    socket = await connect(url, entry.ca, signal)
    const doubt = socket instanceof TLSSocket ? judgeCertificate(socket, agentCa) : undefined
    return doubt ?? { kind: 'answered', status: await request(socket, url, path, entry.headers, signal) }
  } catch (error) {
    return failure(error)
  } finally {
    socket?.destroy()
  }
}

/** Whoever is there is let in at first, to see who it is; it is shown nothing before that is known. */
async function connect(
  { protocol, hostname, port }: URL,
  ca: string | undefined,
  signal: AbortSignal,
): Promise<Socket> {
  const host = hostname.replaceAll(/[[\]]/g, '')
  const at = { host, port: Number(port || (protocol === 'https:' ? 443 : 80)) }
  const plain = net.connect(at)
  await once(plain, 'connect', { signal }).catch((error: unknown) => abandon(plain, error))
  if (protocol === 'http:') return plain
  const names = net.isIP(host) === 0 ? { servername: host } : {}
  const secure = tls.connect({
    socket: plain,
    host,
    ...names,
    ca,
    rejectUnauthorized: false,
    ALPNProtocols: ['http/1.1'],
  })
  await once(secure, 'secureConnect', { signal }).catch((error: unknown) => abandon(plain, error))
  return secure
}

function abandon(socket: Socket, error: unknown): never {
  socket.on('error', () => {}).destroy()
  throw error
}

const badTimes: readonly string[] = ['CERT_HAS_EXPIRED', 'CERT_NOT_YET_VALID']

function judgeCertificate(socket: TLSSocket, agentCa: string | undefined): MirrorAnswer | undefined {
  if (socket.authorized) return undefined
  const reason = String(socket.authorizationError)
  if (badTimes.includes(reason)) return { kind: 'failed', reason: `its certificate: ${reason}` }
  const shown = socket.getPeerX509Certificate()
  const isAgent = agentCa === undefined ? undefined : shown?.verify(new X509Certificate(agentCa).publicKey) === true
  return { kind: 'untrusted', isAgent }
}

async function request(
  socket: Socket,
  { host }: URL,
  path: string,
  headers: MirrorEntry['headers'],
  signal: AbortSignal,
): Promise<number> {
  const asking = http.request({
    createConnection: () => socket,
    method: 'HEAD',
    path,
    headers: { host, 'user-agent': 'shoal-doctor', accept: '*/*', ...headers },
    signal,
  })
  const answered = Promise.withResolvers<number>()
  asking.once('response', ({ statusCode }: IncomingMessage) => answered.resolve(statusCode ?? 0))
  asking.once('error', answered.reject)
  asking.end()
  return answered.promise
}

function failure(error: unknown): MirrorAnswer {
  const reason = reasonOf(error)
  if (reason === 'ECONNREFUSED') return { kind: 'refused' }
  // What comes back to a TLS hello is no TLS.
  if (reason.startsWith('ERR_SSL') || reason === 'EPROTO') return { kind: 'no TLS' }
  return { kind: 'failed', reason: error instanceof Error && error.name === 'AbortError' ? noAnswer : reason }
}
