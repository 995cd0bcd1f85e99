/** The HTTP server of the mirror: fastify with every bound set, and one handler that reads the raw URL. */
import http, { type IncomingMessage, STATUS_CODES, type ServerResponse } from 'node:http'
import https from 'node:https'
import type { Socket } from 'node:net'
import { TLSSocket } from 'node:tls'
import fastify, { type FastifyInstance, type FastifyReply, type FastifyRequest } from 'fastify'
import { limits } from '../../core/limits.ts'
import { second } from '../../core/units.ts'
import { ociErrorBody } from '../../core/oci/errors.ts'
import type { CertifiedKey } from '../mirror-tls/certificates.ts'

interface ServerOptions {
  /** How long a client may take to send a request. */
  readonly requestMs: number
  /** What a server with TLS begins with; without one it speaks plain HTTP. */
  readonly certificate?: CertifiedKey | undefined
}

export interface MirrorServer {
  readonly app: FastifyInstance
  /** For all connections that begin from now on. */
  useCertificate(certificate: CertifiedKey): void
}

/** `url` is the request target as the client sent it. Must not reject. */
export type RawHandler = (request: IncomingMessage, response: ServerResponse, url: string) => Promise<void>

export function createServer({ requestMs, certificate }: ServerOptions, handle: RawHandler): MirrorServer {
  const options = {
    requestTimeout: requestMs,
    headersTimeout: requestMs,
    keepAliveTimeout: limits.mirrorKeepAliveMs,
    maxHeaderSize: limits.mirrorHeadersMaxBytes,
    connectionsCheckingInterval: Math.min(second, requestMs),
  }
  const secure = certificate && { ...tlsOptions(certificate), handshakeTimeout: requestMs }
  const app = fastify({
    serverFactory: (handler) =>
      secure === undefined
        ? http.createServer(options, handler)
        : https.createServer({ ...options, ...secure }, handler),
    // The router sees one path only; what a client's URL means is decided in one place, route.ts.
    rewriteUrl: () => '/',
    // A response that is ended but not yet flushed counts as idle to Node, and would be cut short.
    forceCloseConnections: false,
    clientErrorHandler: refuseMalformed,
  })
  app.server.maxConnections = limits.mirrorConnectionsMax
  // Before routing and body parsing, so that every method and every content type ends here.
  app.addHook('onRequest', async (request: FastifyRequest, reply: FastifyReply) => {
    reply.hijack()
    await handle(request.raw, reply.raw, request.originalUrl)
  })
  return {
    app,
    useCertificate(next) {
      if (app.server instanceof https.Server) app.server.setSecureContext(tlsOptions(next))
    },
  }
}

/** HTTP/1.1 only: a response that ends early must end its connection, and with FIN (facts/protocols.md §0, rule 2). */
function tlsOptions(certificate: CertifiedKey): https.ServerOptions {
  return { ...certificate, minVersion: 'TLSv1.2', ALPNProtocols: ['http/1.1'] }
}

/**
 * The parser gave up on what a client sent. Node would answer a late one with 408, which containerd re-sends at once. Where
 * a response is on its way, words would end up amid its bytes.
 */
function refuseMalformed(error: NodeJS.ErrnoException, socket: Socket): void {
  const isLate = error.code === 'ERR_HTTP_REQUEST_TIMEOUT'
  // A handshake that failed: plain HTTP on this port, or a client that does not believe the certificate.
  const isUnsecured = socket instanceof TLSSocket && socket.getProtocol() === null
  if (isLate || isUnsecured || !socket.writable || socket.bytesWritten > 0) {
    socket.destroy()
    return
  }
  const status = error.code === 'HPE_HEADER_OVERFLOW' ? 431 : 400
  const body = JSON.stringify(ociErrorBody('UNSUPPORTED', 'The request is not HTTP/1.1 as the mirror takes it.'))
  const head = `HTTP/1.1 ${status} ${STATUS_CODES[status]}\r\nContent-Type: application/json\r\nContent-Length: ${body.length}\r\nConnection: close`
  socket.end(`${head}\r\n\r\n${body}`)
}
