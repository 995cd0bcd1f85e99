/** Health, readiness and metrics, on a listener of their own. */
import { fastify } from 'fastify'
import type { AddressInfo, Socket } from 'node:net'
import type { HostPort } from '../config-values.ts'
import { listenError } from '../listen-error.ts'
import type { Metrics } from '../metrics.ts'
import { classifyAddress } from '../upstream/addresses.ts'

/** What a part of the agent says of itself; `reason` is for people. */
export type Readiness = ({ readonly ready: true } | { readonly ready: false; readonly reason: string }) & {
  /** More about it, for people. */
  readonly details?: object
}

export interface OpsComponents {
  readonly metrics: Pick<Metrics, 'render' | 'contentType'>
  /** By the part's name. Asked at each request, so each must answer at once. */
  readonly parts: ReadonlyMap<string, () => Readiness>
  /** Pages for this node alone, by their name; each makes its answer anew. */
  readonly localPages: ReadonlyMap<string, () => Promise<object>>
}

export interface OpsServer {
  /** The port is the real one where 0 was asked for. */
  readonly address: HostPort
  close(): Promise<void>
}

/**
 * `/healthz`: 200 while the event loop turns. `/readyz`: 200 when every part is ready, else 503; each part's state and
 * reason are in the body. `/metrics`: the Prometheus text format. Local pages: JSON, and 404 for who asks from elsewhere. Rejects with `LISTEN_FAILED`.
 */
export async function startOpsServer(
  { metrics, parts, localPages }: OpsComponents,
  listen: HostPort,
): Promise<OpsServer> {
  const server = fastify({ logger: false, forceCloseConnections: true })
  server.get('/healthz', () => ({ ok: true }))
  server.get('/readyz', (_request, reply) => {
    const states = Object.fromEntries([...parts].map(([name, ask]) => [name, ask()]))
    const ready = Object.values(states).every((state) => state.ready)
    return reply.code(ready ? 200 : 503).send({ ready, parts: states })
  })
  server.get('/metrics', async (_request, reply) => reply.type(metrics.contentType).send(await metrics.render()))
  server.get<{ Params: { page: string } }>('/:page', async ({ params, socket }, reply) => {
    const make = isFromThisNode(socket) ? localPages.get(params.page) : undefined
    return make === undefined ? reply.callNotFound() : make()
  })
  // A copy: fastify writes into what it is given.
  await server.listen({ ...listen }).catch((cause: unknown) => {
    throw listenError('ops', listen, cause)
  })
  return { address: boundAddress(listen, server.server.address()), close: () => server.close() }
}

/** What comes from elsewhere must not cause work here. */
function isFromThisNode({ remoteAddress, localAddress }: Socket): boolean {
  return remoteAddress === localAddress || classifyAddress(remoteAddress ?? '') === 'loopback'
}

function boundAddress(asked: HostPort, bound: AddressInfo | string | null): HostPort {
  return typeof bound === 'object' && bound !== null ? { host: bound.address, port: bound.port } : asked
}
