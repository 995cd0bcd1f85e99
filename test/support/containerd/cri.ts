/** The kubelet's side of a pull, and of a pod: the CRI over containerd's socket. */
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
  /** A method of the runtime service, with and to messages as cri.proto has them. */
  readonly runtime: (method: string, request: object) => Promise<Record<string, unknown>>
  close(): void
}

type Call = (request: object, answered: (error: Error | null, answer: Record<string, unknown>) => void) => void

export function connectCri(socket: string): Cri {
  const { ImageService, RuntimeService } = services()
  const [images, runtime] = [ImageService, RuntimeService].map(
    (Service) => new Service(`unix://${socket}`, credentials.createInsecure()),
  ) as [Client, Client]
  return {
    async pull(reference, auth) {
      const answer = await call(images, 'PullImage', { image: { image: reference }, ...(auth && { auth }) })
      return String(answer['image_ref'])
    },
    list: () => call(images, 'ListImages', {}),
    runtime: (method, request) => call(runtime, method, request),
    close() {
      images.close()
      runtime.close()
    },
  }
}

type Client = InstanceType<ServiceClientConstructor>

function call(client: Client, method: string, request: object): Promise<Record<string, unknown>> {
  return new Promise((resolve, reject) => {
    const send: Call | undefined = client[method]?.bind(client)
    send?.(request, (error, answer) => (error ? reject(error) : resolve(answer)))
  })
}

function services(): Record<'ImageService' | 'RuntimeService', ServiceClientConstructor> {
  const definition = loadSync(path.join(import.meta.dirname, 'cri.proto'), {
    keepCase: true,
    enums: String,
    defaults: true,
  })
  const { runtime } = loadPackageDefinition(definition) as unknown as {
    runtime: { v1: Record<'ImageService' | 'RuntimeService', ServiceClientConstructor> }
  }
  return runtime.v1
}
