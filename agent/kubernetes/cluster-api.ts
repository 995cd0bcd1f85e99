/** Objects of the Kubernetes cluster that this process is a pod of, by the pod's service account. */
import { readFile } from 'node:fs/promises'
import path from 'node:path'
import { Agent, interceptors, request } from 'undici'
import { ShoalError } from '../../core/errors.ts'
import { limits } from '../../core/limits.ts'
import { formatHostPort } from '../config-values.ts'
import { codeOf } from '../kept-file.ts'

/** Paths are those of the API, as `/api/v1/nodes/n1`. All reject with `KUBERNETES_FAILED`; what writes is sent once. */
export interface ClusterApi {
  readonly get: (path: string) => Promise<unknown>
  /** Makes an object; the path is that of its collection. */
  readonly create: (path: string, object: object) => Promise<void>
  /**
   * Merges (RFC 7386) into an object; false where it is not there. One that has another resourceVersion than the patch names is
   * left alone.
   */
  readonly merge: (path: string, patch: object) => Promise<boolean>
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
  async function call(objectPath: string, question: Question): Promise<unknown> {
    try {
      return await exchange(`${serviceUrl(env)}${objectPath}`, accountDirectory, question)
    } catch (cause) {
      const reason = cause instanceof Error && !('code' in cause) ? cause.message : codeOf(cause)
      throw new ShoalError('KUBERNETES_FAILED', `${objectPath}: ${reason}`, { cause })
    }
  }
  return {
    get: (objectPath) => call(objectPath, { method: 'GET' }),
    async create(collectionPath, object) {
      await call(collectionPath, { method: 'POST', type: 'application/json', object })
    },
    async merge(objectPath, object) {
      return (await call(objectPath, { method: 'PATCH', type: 'application/merge-patch+json', object })) !== undefined
    },
  }
}

interface Question {
  readonly method: 'GET' | 'POST' | 'PATCH'
  readonly type?: string
  readonly object?: object
}

function serviceUrl({
  KUBERNETES_SERVICE_HOST: host,
  KUBERNETES_SERVICE_PORT: port,
}: ClusterApiOptions['env']): string {
  if (host === undefined || port === undefined) throw new TypeError('this process runs in no pod')
  return `https://${formatHostPort({ host, port: Number(port) })}`
}

/** Undefined where what is to be changed is not there. */
async function exchange(url: string, accountDirectory: string, question: Question): Promise<unknown> {
  const { method, type, object } = question
  const inAccount = (name: string) => readFile(path.join(accountDirectory, name), 'utf8')
  const headers = {
    authorization: `Bearer ${(await inAccount('token')).trim()}`,
    accept: 'application/json',
    ...(type !== undefined && { 'content-type': type }),
  }
  const agent = new Agent({ connect: { ca: await inAccount('ca.crt'), timeout: limits.kubernetesConnectMs } })
  // It sends again what only reads.
  const dispatcher = agent.compose(
    interceptors.retry({ errorCodes: passing, maxTimeout: limits.kubernetesRetryMs, throwOnError: false }),
  )
  const signal = AbortSignal.timeout(limits.kubernetesMs)
  try {
    const sent = object === undefined ? null : JSON.stringify(object)
    const { statusCode, body } = await request(url, { method, headers, body: sent, dispatcher, signal })
    if (statusCode === 404 && method === 'PATCH') return undefined
    if (statusCode >= 300) throw new Error(`HTTP ${statusCode}`)
    return await body.json()
  } finally {
    await agent.destroy()
  }
}
