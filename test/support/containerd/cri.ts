/** The kubelet's side of a pull: the CRI image service over containerd's socket. */
import path from 'node:path'
import { credentials, loadPackageDefinition, type ServiceClientConstructor } from '@grpc/grpc-js'
import { loadSync } from '@grpc/proto-loader'

/** As a pod's pull secret reaches containerd: kubelet never sets `server_address`. */
export interface CriAuth {
  readonly username: string
  readonly password: string
}

export interface Cri {
  /** Resolves to the image's reference in containerd; rejects with containerd's own message. */
  pull(reference: string, auth?: CriAuth): Promise<string>
  /** What containerd's image service knows; rejects while the service is starting. */
  list(): Promise<unknown>
  close(): void
}

type Call = (request: object, answered: (error: Error | null, answer: Record<string, unknown>) => void) => void

export function connectCri(socket: string): Cri {
  const client = new (imageService())(`unix://${socket}`, credentials.createInsecure())
  const call = (method: string, request: object) =>
    new Promise<Record<string, unknown>>((resolve, reject) => {
      const send: Call | undefined = client[method]?.bind(client)
      send?.(request, (error, answer) => (error ? reject(error) : resolve(answer)))
    })
  return {
    async pull(reference, auth) {
      const answer = await call('PullImage', { image: { image: reference }, ...(auth && { auth }) })
      return String(answer['image_ref'])
    },
    list: () => call('ListImages', {}),
    close: () => client.close(),
  }
}

function imageService(): ServiceClientConstructor {
  const definition = loadSync(path.join(import.meta.dirname, 'cri.proto'), { keepCase: true })
  const { runtime } = loadPackageDefinition(definition) as unknown as {
    runtime: { v1: { ImageService: ServiceClientConstructor } }
  }
  return runtime.v1.ImageService
}
