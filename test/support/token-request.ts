/** What a token service is asked, in both forms that docker distribution specifies. */
import type http from 'node:http'
import { text } from 'node:stream/consumers'

export interface TokenRequest {
  readonly grant: 'anonymous' | 'basic' | 'password' | 'refresh_token'
  readonly username: string
  /** Password or refresh token. */
  readonly secret: string
  readonly scopes: readonly string[]
  readonly wantsRefreshToken: boolean
}

export async function readTokenRequest(request: http.IncomingMessage): Promise<TokenRequest> {
  return request.method === 'POST' ? fromForm(new URLSearchParams(await text(request))) : fromQuery(request)
}

/** OAuth2. */
function fromForm(form: URLSearchParams): TokenRequest {
  const grant = form.get('grant_type') === 'refresh_token' ? 'refresh_token' : 'password'
  return {
    grant,
    username: form.get('username') ?? '',
    secret: form.get(grant) ?? '',
    scopes: scopesOf(form),
    wantsRefreshToken: form.get('access_type') === 'offline',
  }
}

function fromQuery({ url = '', headers }: http.IncomingMessage): TokenRequest {
  const query = new URL(url, 'http://token').searchParams
  const [, basic] = /^Basic (.+)$/.exec(headers.authorization ?? '') ?? []
  const [, username = '', secret = ''] = /^([^:]*):(.*)$/s.exec(Buffer.from(basic ?? '', 'base64').toString()) ?? []
  return {
    grant: basic === undefined ? 'anonymous' : 'basic',
    username,
    secret,
    scopes: scopesOf(query),
    wantsRefreshToken: query.get('offline_token') === 'true',
  }
}

function scopesOf(parameters: URLSearchParams): string[] {
  return parameters.getAll('scope').flatMap((scope) => scope.split(' '))
}
