/** Objects of the Kubernetes cluster that this process is a pod of, by the pod's service account. */
import { readFile } from 'node:fs/promises'
import path from 'node:path'
import { Agent, interceptors, request } from 'undici'
import { formatHostPort } from '../../agent/config-values.ts'
import { codeOf } from '../../agent/kept-file.ts'
import { ShoalError } from '../../core/errors.ts'
import { limits } from '../../core/limits.ts'

/** Paths are those of the API, as `/api/v1/nodes/n1`. Both reject with `KUBERNETES_FAILED`. */
export interface ClusterApi {
  readonly get: (path: string) => Promise<unknown>
  /** Merges (RFC 7386) into an object; one that has another resourceVersion than the patch names is left alone. */
  readonly merge: (path: string, patch: object) => Promise<unknown>
}

export interface ClusterApiOptions {
  readonly env: Readonly<Record<string, string | undefined>>
  /** Where kubelet mounts the service account's token and the cluster's CA. */
  readonly accountDirectory?: string
}

/** A node that has just started may not reach Services yet. */
const passing = [
  'ECONNREFUSED',
  'ECONNRESET',
  'EHOSTUNREACH',
  'ENETUNREACH',
  'UND_ERR_CONNECT_TIMEOUT',
  'UND_ERR_SOCKET',
]

/** Token and CA are read each time: kubelet renews them while the pod runs. What may be so for a moment only is tried again. */
export function clusterApi({
  env,
  accountDirectory = '/var/run/secrets/kubernetes.io/serviceaccount',
}: ClusterApiOptions): ClusterApi {
  async function call(objectPath: string, patch?: object): Promise<unknown> {
    try {
      return await exchange(`${serviceUrl(env)}${objectPath}`, accountDirectory, patch)
    } catch (cause) {
      const reason = cause instanceof Error && !('code' in cause) ? cause.message : codeOf(cause)
      throw new ShoalError('KUBERNETES_FAILED', `${objectPath}: ${reason}`, { cause })
    }
  }
  return { get: (objectPath) => call(objectPath), merge: call }
}

function serviceUrl({
  KUBERNETES_SERVICE_HOST: host,
  KUBERNETES_SERVICE_PORT: port,
}: ClusterApiOptions['env']): string {
  if (host === undefined || port === undefined) throw new TypeError('this process runs in no pod')
  return `https://${formatHostPort({ host, port: Number(port) })}`
}

async function exchange(url: string, accountDirectory: string, patch: object | undefined): Promise<unknown> {
  const inAccount = (name: string) => readFile(path.join(accountDirectory, name), 'utf8')
  const headers = { authorization: `Bearer ${(await inAccount('token')).trim()}`, accept: 'application/json' }
  const agent = new Agent({ connect: { ca: await inAccount('ca.crt'), timeout: limits.kubernetesConnectMs } })
  const dispatcher = agent.compose(interceptors.retry({ errorCodes: passing, maxTimeout: limits.kubernetesRetryMs }))
  try {
    const common = { dispatcher, signal: AbortSignal.timeout(limits.kubernetesMs) }
    const { statusCode, body } = await (patch === undefined
      ? request(url, { ...common, headers })
      : request(url, {
          ...common,
          method: 'PATCH',
          headers: { ...headers, 'content-type': 'application/merge-patch+json' },
          body: JSON.stringify(patch),
        }))
    if (statusCode !== 200) throw new Error(`HTTP ${statusCode}`)
    return await body.json()
  } finally {
    await agent.destroy()
  }
}
