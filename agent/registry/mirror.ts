/** The OCI pull endpoint that containerd, Podman and Docker call (OCI distribution-spec 1.1, category pull). */
import type { IncomingMessage, ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { ShoalError } from '../../core/errors.ts'
import { limits } from '../../core/limits.ts'
import type { Clock } from '../../core/ports.ts'
import type { DecideByRules, ImageName } from '../../core/rules.ts'
import { listenError } from '../listen-error.ts'
import type { CertifiedKey } from '../mirror-tls/certificates.ts'
import { showsNodeSecret } from '../mirror-tls/node-secret.ts'
import { jsonAnswer } from './answer.ts'
import { createBlobEndpoint } from './blob-endpoint.ts'
import { createDescriptors } from './descriptors.ts'
import { sendDiscovery } from './discovery.ts'
import { createExchange, type Exchange, fail } from './exchange.ts'
import { isOwnHost } from './host-names.ts'
import { sendManifest } from './manifest-endpoint.ts'
import { createManifests } from './manifests.ts'
import type { Access } from '../access/access.ts'
import type { Possession } from '../access/possession.ts'
import type { Subject } from '../access/subject.ts'
import type { AnsweredRequest, Blobs, Observer, Origin } from './ports.ts'
import { withoutPlainPasswords } from './plain-passwords.ts'
import { createPrefetch } from './prefetch.ts'
import { parseRoute, type Route } from './route.ts'
import { createRunning } from './running.ts'
import { createServer } from './server.ts'
import { repositoryAt } from '../upstream/origin-name.ts'
import type { Tags } from './tags.ts'

export interface MirrorComponents {
  readonly blobs: Blobs
  readonly origin: Origin
  readonly tags: Tags
  readonly access: Access
  readonly possession: Pick<Possession, 'prove'>
  readonly rules: DecideByRules
  readonly observer: Observer
  readonly clock: Clock
}

/** What makes mirror and clients known to each other. */
export interface MirrorGuard {
  /** What the listener shows at first. */
  readonly certificate: CertifiedKey
  /** What every request must carry. */
  readonly secret: string
}

export interface MirrorOptions {
  /** The address to listen on. Default `127.0.0.1`. */
  readonly host?: string
  /** Default 5050; 0 takes a free one. */
  readonly port?: number
  /** Where requests go that name no registry, as Docker's `registry-mirrors` send them. Default `docker.io`. */
  readonly defaultOrigin?: string
  /** How many layers after the highest one requested are fetched ahead. Default `limits.prefetchLayersAhead`. */
  readonly prefetchLayers?: number
  /** Names that clients may call the mirror by, beside its addresses and `localhost`. Default none. */
  readonly hostNames?: readonly string[]
  /** Default: plain HTTP, and whoever reaches it may ask. */
  readonly guard?: MirrorGuard | undefined
  /** How long a client may take to send a request's head. Default `limits.mirrorRequestMs`. */
  readonly requestMs?: number
  /** A client that takes no byte of a response for this long is dropped. Default `limits.clientStallMs`. */
  readonly clientStallMs?: number
}

export interface Mirror {
  /** Resolves with the bound address once requests are answered; rejects with `LISTEN_FAILED`. */
  listen(): Promise<AddressInfo>
  /** Shows another certificate from now on, where it has a guard. */
  useCertificate(certificate: CertifiedKey): void
  /** Takes no more connections, lets running responses finish for `graceMs`, ends the rest with FIN. */
  close(graceMs: number): Promise<void>
}

const defaults = {
  host: '127.0.0.1',
  port: 5050,
  defaultOrigin: 'docker.io',
  prefetchLayers: limits.prefetchLayersAhead,
  hostNames: [],
  guard: undefined,
  requestMs: limits.mirrorRequestMs,
  clientStallMs: limits.clientStallMs,
} as const satisfies Required<MirrorOptions>

export function createMirror(components: MirrorComponents, options: MirrorOptions = {}): Mirror {
  const settings = { ...defaults, ...options }
  const { access, blobs, clock, observer, origin, possession, rules, tags } = components
  const descriptors = createDescriptors()
  const prefetch = createPrefetch({ blobs }, { layersAhead: settings.prefetchLayers })
  const manifests = createManifests({ blobs, descriptors, possession, tags })
  const sendBlob = createBlobEndpoint({ blobs, descriptors, origin, possession, prefetch, clock })
  const running = createRunning()
  const { guard, requestMs } = settings
  const server = createServer({ requestMs, certificate: guard?.certificate }, handle)
  const { app } = server

  async function handle(request: IncomingMessage, response: ServerResponse, url: string): Promise<void> {
    const exchange = createExchange({ request, response, clock }, settings)
    let kind: AnsweredRequest['kind'] = 'none'
    let failure: unknown
    running.add(exchange)
    try {
      refuseForeign(exchange)
      const route = parseRoute(url, {
        parseOrigin: (text) => origin.site(text).origin,
        defaultOrigin: settings.defaultOrigin,
      })
      kind = route.kind === 'discovery' ? route.discovery.kind : route.kind
      await answer(exchange, route)
    } catch (error) {
      failure = guard === undefined ? withoutPlainPasswords(error, request.socket.remoteAddress) : error
      fail(exchange, failure)
    } finally {
      observer.answered(exchange.result(kind, failure))
    }
  }

  function refuseForeign({ request, response }: Exchange): void {
    if (!isOwnHost(request.headersDistinct['host'], settings.hostNames)) {
      throw new ShoalError('HOST_REFUSED', 'The request is for another host')
    }
    if (guard !== undefined && !showsNodeSecret(request.headers, guard.secret)) {
      throw new ShoalError('NODE_SECRET_WRONG', "The request does not carry this node's secret")
    }
    if (request.method === 'GET' || request.method === 'HEAD') return
    response.setHeader('allow', 'GET, HEAD')
    throw new ShoalError('METHOD_UNSUPPORTED', 'The request would write')
  }

  function refuseByRule(route: ImageRoute): void {
    const image = imageOf(route)
    const { action, ruleNumber, pattern } = rules(image)
    const because = `Rule ${ruleNumber} (${pattern}) is for ${image.origin}/${image.repository}`
    if (action === 'pass') throw new ShoalError('NOT_MIRRORED', because)
    if (action === 'refuse') throw new ShoalError('RULE_REFUSED', because)
  }

  /** Whatever is sent, but for the ping, is sent after `authorize`; and what has a digest, once its repository is known to have it. */
  async function answer(exchange: Exchange, route: Route): Promise<void> {
    if (route.kind === 'ping') return exchange.send(jsonAnswer(200, {}))
    refuseByRule(route)
    const { authorization } = exchange.request.headers
    const credential = await access.authorize({ authorization }, subjectOf(route), exchange.signal)
    switch (route.kind) {
      case 'manifest':
        return sendManifest(exchange, manifests, route.at, route.reference, credential)
      case 'blob':
        return sendBlob(exchange, route.at, route.digest, credential)
      case 'discovery':
        return sendDiscovery(exchange, origin, route.at, route.discovery, credential)
    }
  }

  async function listen(): Promise<AddressInfo> {
    const { host, port } = settings
    await app.listen({ host, port }).catch((cause: unknown) => {
      throw listenError('mirror', { host, port }, cause)
    })
    const address = app.server.address()
    if (address === null || typeof address === 'string') throw new TypeError('a TCP server has an address')
    return address
  }

  async function close(graceMs: number): Promise<void> {
    prefetch.stop()
    const closed = app.close()
    await running.settled(graceMs)
    running.stop(new ShoalError('AGENT_STOPPING', 'The agent is stopping'))
    await running.settled(limits.mirrorStopLingerMs)
    app.server.closeAllConnections()
    await closed
  }

  return { listen, useCertificate: (certificate) => server.useCertificate(certificate), close }
}

type ImageRoute = Exclude<Route, { kind: 'ping' }>

function imageOf(route: ImageRoute): ImageName {
  const { origin, repository } = route.at
  const tag = route.kind === 'manifest' && route.reference.kind === 'tag' ? route.reference.tag : undefined
  return { origin, repository: repositoryAt(origin, repository), tag }
}

function subjectOf(route: ImageRoute): Subject {
  switch (route.kind) {
    case 'manifest':
      return { ...route.at, content: { kind: 'manifest', reference: route.reference } }
    case 'blob':
      return { ...route.at, content: { kind: 'blob', reference: { kind: 'digest', digest: route.digest } } }
    case 'discovery':
      return route.at
  }
}
