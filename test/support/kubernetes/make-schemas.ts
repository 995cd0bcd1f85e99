/**
 * Writes schemas-<version>.json: of Kubernetes' own OpenAPI, as strict JSON Schema, what the kinds that the chart renders need.
 * Its source is the PyPI package kubernetes-validate (Apache-2.0), which carries it for each release, and for ServiceMonitor the
 * Go module of the Prometheus operator (Apache-2.0). Run it to have a newer version, or another kind:
 * `node test/support/kubernetes/make-schemas.ts`; needs pip, unzip and go.
 */
import { execFileSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { parse } from 'yaml'

/** The oldest that Chart.yaml admits, and the newest there is. */
const versions = ['1.27', '1.37']
const kinds = [
  'api.apps.v1.DaemonSet',
  'api.apps.v1.Deployment',
  ...['ConfigMap', 'Pod', 'ResourceQuota', 'Secret', 'Service', 'ServiceAccount'].map((kind) => `api.core.v1.${kind}`),
  'api.events.v1.Event',
  ...['ClusterRole', 'ClusterRoleBinding', 'Role', 'RoleBinding'].map((kind) => `api.rbac.v1.${kind}`),
].map((name) => `io.k8s.${name}`)

const operator = 'github.com/prometheus-operator/prometheus-operator'

const scratch = mkdtempSync(path.join(tmpdir(), 'shoal-schemas-'))
try {
  const run = (program: string, ...args: string[]) => execFileSync(program, args, { cwd: scratch, stdio: 'inherit' })
  run('pip', 'download', '--quiet', '--no-deps', 'kubernetes-validate==1.37.0')
  run('unzip', '-q', 'kubernetes_validate-1.37.0-py3-none-any.whl', '*/_definitions.json')
  const serviceMonitor = readServiceMonitor()
  for (const version of versions) writeSchemas(version, serviceMonitor)
} finally {
  rmSync(scratch, { recursive: true })
}

/** Its custom resource definition, closed as Kubernetes closes it: keys that it does not name are dropped. */
function readServiceMonitor(): unknown {
  const downloaded = execFileSync('go', ['mod', 'download', '-json', `${operator}@v0.85.0`], { cwd: scratch })
  const { Dir } = JSON.parse(downloaded.toString()) as { Dir: string }
  const file = `${Dir}/example/prometheus-operator-crd/monitoring.coreos.com_servicemonitors.yaml`
  const definition = parse(readFileSync(file, 'utf8')) as {
    spec: { versions: [{ schema: { openAPIV3Schema: { properties: object } } }] }
  }
  const schema = definition.spec.versions[0].schema.openAPIV3Schema
  const metadata = { $ref: '#/$defs/io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta' }
  return close({ ...schema, properties: { ...schema.properties, metadata } })
}

function close(schema: unknown): unknown {
  if (typeof schema !== 'object' || schema === null || Array.isArray(schema)) return schema
  const closed = Object.fromEntries(Object.entries(schema).map(([key, value]) => [key, close(value)]))
  return closed['type'] === 'object' && 'properties' in closed ? { ...closed, additionalProperties: false } : closed
}

function writeSchemas(version: string, serviceMonitor: unknown): void {
  const file = `${scratch}/kubernetes_validate/kubernetes-json-schema/v${version}.0-local-strict/_definitions.json`
  const all = (JSON.parse(readFileSync(file, 'utf8')) as { $defs: Record<string, unknown> }).$defs
  const $defs: Record<string, unknown> = { 'io.k8s.api.monitoring.v1.ServiceMonitor': trim(serviceMonitor) }
  const wanted = [...kinds]
  for (const name of wanted) {
    if (name in $defs) continue
    $defs[name] = trim(all[name])
    for (const [, other = ''] of JSON.stringify($defs[name]).matchAll(/"#\/\$defs\/([^"]+)"/g)) wanted.push(other)
  }
  const schema = { $schema: 'https://json-schema.org/draft/2020-12/schema', $defs }
  writeFileSync(path.join(import.meta.dirname, `schemas-${version}.json`), `${JSON.stringify(schema)}\n`)
}

/** Without prose, and without null, which the API takes for nothing given and which in a chart is a slip. */
function trim(schema: unknown): unknown {
  if (Array.isArray(schema)) return schema.map(trim)
  if (typeof schema !== 'object' || schema === null) return schema
  return Object.fromEntries(
    Object.entries(schema)
      .filter(([key, value]) => !(key.startsWith('x-') || (key === 'description' && typeof value === 'string')))
      .map(([key, value]) => [key, key === 'type' && Array.isArray(value) ? value[0] : trim(value)]),
  )
}
