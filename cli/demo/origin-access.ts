/** How the demo's origin asks for credentials: tokens as Docker Hub has them, or Basic as ECR has it. */
import { randomUUID } from 'node:crypto'
import type http from 'node:http'
import { text } from 'node:stream/consumers'

export interface OriginAccess {
  readonly scheme: 'bearer' | 'basic'
  /** Absent with `bearer`: anybody gets a token. */
  readonly credentials?: { readonly username: string; readonly password: string }
}

export interface AccessControl {
  /** The challenge to answer with 401, or undefined when the request may pass. `base` is the origin's own URL. */
  challenge(request: http.IncomingMessage, base: string, repository: string): string | undefined
  /** The token service, at `/token`: a token, or undefined for 401. */
  token(request: http.IncomingMessage): Promise<string | undefined>
}

export function createAccessControl(access: OriginAccess | undefined): AccessControl {
  const tokens = new Set<string>()
  const basic = access?.credentials === undefined ? undefined : basicHeader(access.credentials)
  return {
    challenge(request, base, repository) {
      const { authorization = '' } = request.headers
      if (access === undefined) return undefined
      if (access.scheme === 'basic') return authorization === basic ? undefined : 'Basic realm="demo"'
      if (tokens.has(authorization.replace(/^Bearer /, ''))) return undefined
      return `Bearer realm="${base}/token",service="demo",scope="repository:${repository}:pull"`
    },
    async token(request) {
      const allowed =
        basic === undefined || request.headers.authorization === basic || (await formHeader(request)) === basic
      if (!allowed) return undefined
      const token = randomUUID()
      tokens.add(token)
      return token
    },
  }
}

function basicHeader({ username, password }: { username: string; password: string }): string {
  return `Basic ${Buffer.from(`${username}:${password}`).toString('base64')}`
}

/** The OAuth2 form of the token request, which containerd sends first. */
async function formHeader(request: http.IncomingMessage): Promise<string> {
  const form = new URLSearchParams(await text(request))
  return basicHeader({ username: form.get('username') ?? '', password: form.get('password') ?? '' })
}
