/** Stands for the Kubernetes API: HTTPS on loopback, under a CA and for a token that a pod would have mounted. */
import { once } from 'node:events'
import { mkdir, writeFile } from 'node:fs/promises'
import type { IncomingMessage, ServerResponse } from 'node:http'
import { createServer } from 'node:https'
import path from 'node:path'
import { text } from 'node:stream/consumers'
import { createAuthority, issueServer, parseAuthority } from '../../../agent/mirror-tls/certificates.ts'
import { portOf } from '../../../agent/system/port-of.ts'

export interface KubernetesApi {
  /** What kubelet gives a pod: its environment, and the directory of its service account. */
  readonly pod: { readonly env: Readonly<Record<string, string>>; readonly accountDirectory: string }
  /** Methods and paths, in order, and what was sent. */
  readonly asked: readonly string[]
  close(): Promise<void>
}

/** Answers with the object at a path; with a number as the status, and 403 for what is not listed, as where no role allows it. */
export async function startKubernetesApi(
  directory: string,
  answer: (objectPath: string) => unknown,
): Promise<KubernetesApi> {
  const authority = await parseAuthority(await newAuthority())
  const { cert, key } = await issueServer(authority, ['127.0.0.1'], new Date())
  const accountDirectory = path.join(directory, 'serviceaccount')
  await mkdir(accountDirectory, { recursive: true })
  await writeFile(path.join(accountDirectory, 'ca.crt'), authority.cert)
  await writeFile(path.join(accountDirectory, 'token'), 'pod-token\n')
  const asked: string[] = []
  const server = createServer({ cert, key }, (request, response) => void answerTo(request, response))
  async function answerTo(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const sent = [request.headers['content-type'], await text(request)].filter(Boolean)
    asked.push([request.method, request.url, ...sent].join(' '))
    const object = request.headers.authorization === 'Bearer pod-token' ? (answer(request.url ?? '') ?? 403) : 401
    if (typeof object === 'number') return void response.writeHead(object).end('{}')
    response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify(object))
  }
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const env = { KUBERNETES_SERVICE_HOST: '127.0.0.1', KUBERNETES_SERVICE_PORT: String(portOf(server.address())) }
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
  const { cert, key } = await createAuthority(new Date())
  return cert + key
}
