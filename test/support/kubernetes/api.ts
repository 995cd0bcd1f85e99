/** Stands for the Kubernetes API: HTTPS, under a CA and for a token that a pod would have mounted. */
import { once } from 'node:events'
import { mkdir, writeFile } from 'node:fs/promises'
import type { IncomingMessage, ServerResponse } from 'node:http'
import { createServer } from 'node:https'
import path from 'node:path'
import { text } from 'node:stream/consumers'
import { createAuthority, issueServer, parseAuthority } from '../../../agent/mirror-tls/certificates.ts'
import { portOf } from '../../../agent/system/port-of.ts'

/** What kubelet gives a pod: its environment, and the directory of its service account. */
export interface PodAccess {
  readonly env: Readonly<Record<string, string>>
  readonly accountDirectory: string
}

export interface KubernetesApi {
  readonly pod: PodAccess
  /** Methods and paths, in order, and what was sent. */
  readonly asked: readonly string[]
  close(): Promise<void>
}

/** What is to be made, or merged into the object at the path; undefined where that is read. */
export interface SentObject {
  readonly method: string
  readonly object: Readonly<Record<string, unknown>> | undefined
}

/** Answers with an object; with a number as the status, and 403 for what is undefined, as where no role allows it. */
export async function startKubernetesApi(
  directory: string,
  answer: (objectPath: string, sent: SentObject) => unknown,
  host = '127.0.0.1',
): Promise<KubernetesApi> {
  const authority = await parseAuthority(await newAuthority())
  const { cert, key } = await issueServer(authority, [host], new Date())
  const accountDirectory = path.join(directory, 'serviceaccount')
  await mkdir(accountDirectory, { recursive: true })
  await writeFile(path.join(accountDirectory, 'ca.crt'), authority.cert)
  await writeFile(path.join(accountDirectory, 'token'), 'pod-token\n')
  const asked: string[] = []
  const server = createServer({ cert, key }, (request, response) => void answerTo(request, response))
  async function answerTo(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const { method = '', url = '', headers } = request
    const body = await text(request)
    asked.push([method, url, headers['content-type'], body].filter(Boolean).join(' '))
    const sent = { method, object: body === '' ? undefined : (JSON.parse(body) as SentObject['object']) }
    const object = headers.authorization === 'Bearer pod-token' ? (answer(url, sent) ?? 403) : 401
    if (typeof object === 'number') return void response.writeHead(object).end('{}')
    const status = method === 'POST' ? 201 : 200
    response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(object))
  }
  server.listen(0, host)
  await once(server, 'listening')
  const env = { KUBERNETES_SERVICE_HOST: host, KUBERNETES_SERVICE_PORT: String(portOf(server.address())) }
  return {
    pod: { env, accountDirectory },
    asked,
    async close() {
      server.close()
      server.closeAllConnections()
      await once(server, 'close')
    },
  }
}

async function newAuthority(): Promise<string> {
  const { cert, key } = await createAuthority()
  return cert + key
}
