/**
 * The Kubernetes API as far as Helm needs it to install, upgrade and uninstall the chart: objects in memory, over HTTP on loopback.
 * Nothing runs, and a pod has succeeded as soon as it is there.
 */
import { once } from 'node:events'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import { buffer } from 'node:stream/consumers'
import protobuf from 'protobufjs'
import { parse } from 'yaml'
import { portOf } from '../../../agent/system/port-of.ts'

type ApiObject = Record<string, unknown> & { kind: string; metadata: Record<string, unknown> & { name: string } }

export interface MemoryApi {
  readonly url: string
  /** What was made and removed, in order: `+ DaemonSet/shoal-agent`, `- Pod/shoal-cleanup`; without Helm's own notes of releases. */
  readonly changes: string[]
  /** By `<path of the collection>/<name>`. */
  readonly objects: ReadonlyMap<string, ApiObject>
  put(collection: string, object: ApiObject): void
  close(): Promise<void>
}

const groups = {
  '': [
    ['ConfigMap', 'configmaps'],
    ['Namespace', 'namespaces'],
    ['Pod', 'pods'],
    ['ResourceQuota', 'resourcequotas'],
    ['Secret', 'secrets'],
    ['Service', 'services'],
    ['ServiceAccount', 'serviceaccounts'],
  ],
  apps: [['DaemonSet', 'daemonsets']],
  'rbac.authorization.k8s.io': [
    ['ClusterRole', 'clusterroles'],
    ['ClusterRoleBinding', 'clusterrolebindings'],
    ['Role', 'roles'],
    ['RoleBinding', 'rolebindings'],
  ],
} as const
const ofCluster: readonly string[] = ['Namespace', 'ClusterRole', 'ClusterRoleBinding']
const verbs = ['create', 'delete', 'get', 'list', 'patch', 'update', 'watch']

/** `version` as `1.35`. */
export async function startMemoryApi(version: string): Promise<MemoryApi> {
  const objects = new Map<string, ApiObject>()
  const changes: string[] = []
  const note = (sign: string, { kind, metadata }: ApiObject): void => {
    if (!metadata.name.startsWith('sh.helm.release')) changes.push(`${sign} ${kind}/${metadata.name}`)
  }

  async function handle(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const { pathname, searchParams } = new URL(request.url ?? '', 'http://api')
    const known = discovery(pathname, version)
    if (known !== undefined) return send(response, 200, known)
    if (request.method === 'GET') return get(pathname, searchParams, response)
    const body = await buffer(request)
    if (request.method === 'DELETE') {
      const object = objects.get(pathname)
      if (object === undefined) return send(response, 404, failure('NotFound', 404))
      objects.delete(pathname)
      note('-', object)
      return send(response, 200, object)
    }
    // Create, update and apply all hand over the whole object; of a patch what it names is enough for what tests look at.
    const sent = decode(body)
    const key = request.method === 'POST' ? `${pathname}/${sent.metadata.name}` : pathname
    const before = objects.get(key)
    if (request.method === 'POST' && before !== undefined) return send(response, 409, failure('AlreadyExists', 409))
    const isWhole = request.headers['content-type']?.includes('merge-patch') !== true
    const after = completed(isWhole ? sent : (merged(before, sent) as ApiObject))
    objects.set(key, after)
    if (before === undefined) note('+', after)
    return send(response, before === undefined ? 201 : 200, after)
  }

  function get(pathname: string, query: URLSearchParams, response: ServerResponse): void {
    const object = objects.get(pathname)
    if (object !== undefined) return send(response, 200, object)
    const kind = kindOf(pathname)
    if (kind === undefined) return send(response, 404, failure('NotFound', 404))
    // Helm then lists, and watches what comes after.
    if (query.has('sendInitialEvents')) return send(response, 422, failure('Invalid', 422))
    const items = [...objects].flatMap(([key, each]) => (isIn(key, pathname) && isSelected(each, query) ? [each] : []))
    if (query.get('watch') === null) {
      return send(response, 200, {
        kind: `${kind}List`,
        apiVersion: apiVersionOf(pathname),
        metadata: { resourceVersion: '1' },
        items,
      })
    }
    response.writeHead(200, { 'content-type': 'application/json' }).flushHeaders()
    for (const each of items) response.write(`${JSON.stringify({ type: 'MODIFIED', object: each })}\n`)
  }

  const server = createServer((request, response) => {
    handle(request, response).catch((error: unknown) => send(response, 500, failure(String(error), 500)))
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  return {
    url: `http://127.0.0.1:${portOf(server.address())}`,
    changes,
    objects,
    put: (collection, object) => void objects.set(`${collection}/${object.metadata.name}`, object),
    async close() {
      server.close()
      server.closeAllConnections()
      await once(server, 'close')
    },
  }
}

/** Helm notes releases in Secrets that it sends as protobuf; whatever else it sends is JSON or YAML. */
const { root } = protobuf.parse(`
  syntax = "proto3";
  message Unknown { TypeMeta typeMeta = 1; bytes raw = 2; }
  message TypeMeta { string apiVersion = 1; string kind = 2; }
  message Secret { ObjectMeta metadata = 1; map<string, bytes> data = 2; string type = 3; }
  message ObjectMeta { string name = 1; string namespace = 3; map<string, string> labels = 11; }
`)
const magic = Buffer.from('k8s\0')

function decode(body: Buffer): ApiObject {
  if (!body.subarray(0, magic.length).equals(magic)) return parse(body.toString()) as ApiObject
  const { typeMeta, raw } = root.lookupType('Unknown').decode(body.subarray(magic.length)).toJSON()
  if (typeMeta.kind !== 'Secret') throw new TypeError(`no proto of ${typeMeta.kind}`)
  return { ...typeMeta, ...root.lookupType('Secret').decode(Buffer.from(raw, 'base64')).toJSON() }
}

function send(response: ServerResponse, status: number, body: unknown): void {
  response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body))
}

const failure = (reason: string, code: number) => ({
  kind: 'Status',
  apiVersion: 'v1',
  status: 'Failure',
  reason,
  message: reason,
  code,
})

function discovery(pathname: string, version: string): unknown {
  if (pathname === '/version') return { major: '1', minor: version.split('.')[1], gitVersion: `v${version}.0` }
  if (pathname === '/api') return { kind: 'APIVersions', versions: ['v1'] }
  if (pathname === '/apis')
    return { kind: 'APIGroupList', apiVersion: 'v1', groups: Object.keys(groups).filter(Boolean).map(groupEntry) }
  if (pathname === '/openapi/v3')
    return {
      paths: Object.fromEntries(
        Object.keys(groups).map((name) => [rootOf(name).slice(1), { serverRelativeURL: `/openapi/v3${rootOf(name)}` }]),
      ),
    }
  const described = Object.entries(groups).find(([name]) => pathname === `/openapi/v3${rootOf(name)}`)
  if (described !== undefined)
    return { openapi: '3.0.0', info: { title: 'Kubernetes', version }, paths: patchesOf(...described) }
  const [group, resources] = Object.entries(groups).find(([name]) => pathname === rootOf(name)) ?? []
  if (group === undefined || resources === undefined) return undefined
  const entries = resources.map(([kind, name]) => ({
    kind,
    name,
    singularName: '',
    namespaced: !ofCluster.includes(kind),
    verbs,
  }))
  return { kind: 'APIResourceList', groupVersion: group === '' ? 'v1' : `${group}/v1`, resources: entries }
}

/** Says of each kind that the API itself validates what is sent, so that Helm needs no schema of it. */
function patchesOf(group: string, resources: readonly (readonly [string, string])[]): object {
  const parameters = [{ name: 'fieldValidation', in: 'query', schema: { type: 'string' } }]
  return Object.fromEntries(
    resources.map(([kind, name]) => [
      `${rootOf(group)}/${name}/{name}`,
      { patch: { 'x-kubernetes-group-version-kind': { group, version: 'v1', kind }, parameters, responses: {} } },
    ]),
  )
}

function groupEntry(name: string): object {
  const version = { groupVersion: `${name}/v1`, version: 'v1' }
  return { name, versions: [version], preferredVersion: version }
}

const rootOf = (group: string): string => (group === '' ? '/api/v1' : `/apis/${group}/v1`)
const apiVersionOf = (pathname: string): string =>
  pathname.startsWith('/api/') ? 'v1' : pathname.split('/').slice(2, 4).join('/')

/** Of a collection. */
function kindOf(pathname: string): string | undefined {
  const last = pathname.split('/').at(-1)
  return Object.values(groups)
    .flatMap((resources): readonly (readonly [string, string])[] => resources)
    .find(([, name]) => name === last)?.[0]
}

const isIn = (key: string, collection: string): boolean => key.slice(0, key.lastIndexOf('/')) === collection

function isSelected({ metadata }: ApiObject, query: URLSearchParams): boolean {
  const labels = (metadata['labels'] ?? {}) as Record<string, string>
  const wanted = (query.get('labelSelector') ?? '').split(',').filter(Boolean)
  const [, name] = /^metadata\.name=(.*)$/.exec(query.get('fieldSelector') ?? '') ?? []
  return (
    wanted.every((term) => labels[term.split('=')[0] ?? ''] === term.split('=').at(-1)) &&
    (name ?? metadata.name) === metadata.name
  )
}

function completed(object: ApiObject): ApiObject {
  const metadata = {
    ...object.metadata,
    uid: object.metadata.name,
    resourceVersion: '1',
    creationTimestamp: '2026-01-01T00:00:00Z',
  }
  const status = object.kind === 'Pod' ? { phase: 'Succeeded' } : object['status']
  return { ...object, metadata, ...(status !== undefined && { status }) }
}

/** RFC 7386, also where Helm means a strategic merge: only lists differ. */
function merged(before: unknown, patch: unknown): unknown {
  if (typeof patch !== 'object' || patch === null || Array.isArray(patch)) return patch
  const base = typeof before === 'object' && before !== null ? before : {}
  const changed = Object.entries(patch).map(
    ([key, value]) => [key, merged((base as Record<string, unknown>)[key], value)] as const,
  )
  return Object.fromEntries([...Object.entries(base), ...changed].filter(([, value]) => value !== null))
}
