/** What makes one registry different from the next, as data: emulator.ts is the one engine that plays all of it. */
import type { Credentials } from '../authorizer.ts'

/** A short answer. */
export interface Words {
  readonly status: number
  readonly headers?: Readonly<Record<string, string>>
  readonly body: string
  /** Whether the registry's challenge goes along. */
  readonly challenge?: boolean
  /** What the challenge calls the fault (RFC 6750, 3.1). */
  readonly error?: 'invalid_token' | 'insufficient_scope'
}

export interface RegistryRow {
  readonly name: string
  /** As image names have it. */
  readonly origin: string
  /** Base URL of its API, where that is not `https://<origin>`: what an operator has to configure, except for Docker Hub. */
  readonly api?: string
  readonly repositories: {
    /** What anybody may pull, where the registry knows such a thing. */
    readonly open?: string
    /** What only `credentials` may pull. */
    readonly private: string
  }
  readonly credentials: Credentials
  readonly access: BasicAccess | BearerAccess
  /** Where blobs come from, if not from the registry itself. */
  readonly storage?: Storage
  /** Every HEAD of a blob gets this. */
  readonly blobHead?: Words
  /** A manifest under the tag `blocked`, once the caller may read it. */
  readonly blocked?: Words
  readonly limit: PullLimit
  /** What is emulated, and where it is documented. */
  readonly sources: Readonly<Record<string, string>>
}

export interface BasicAccess {
  readonly scheme: 'basic'
  readonly challenge: string
  readonly refusal: Words
}

export interface BearerAccess {
  readonly scheme: 'bearer'
  /** URL of the token service. */
  readonly realm: string
  readonly service: string
  /** `repository:<name>:pull` unless given. */
  readonly scope?: string
  /** Another challenge after Bearer, on the same line. */
  readonly also?: string
  /** What an open repository answers to nobody: its content, or the challenge. Default: the challenge. */
  readonly openToNobody?: 'content'
  /** What the challenge leaves out at `/v2/`. */
  readonly pingLacks?: 'service'
  readonly lifetimeSeconds: number
  /** The names under which the token service hands out its token. */
  readonly fields: readonly ('token' | 'access_token')[]
  /** What a form (OAuth2, POST) gets: a token, or this status. */
  readonly form: 'token' | number
  /** Nobody, who asks for what is private, gets a token that opens nothing there, or this status. */
  readonly nobody: 'token' | number
  /** A wrong secret gets this status of the token service. */
  readonly wrongSecret: number
  /** A token that is none, or has expired. */
  readonly invalid: Words
  /** A token that does not open this repository. */
  readonly refusal: Words
  /** Where an identity's token becomes a refresh token (ACR), good as a password. */
  readonly exchange?: { readonly url: string; readonly identityToken: string }
}

export interface Storage {
  /** With `{hex}` of the digest and `{signature}`. */
  readonly url: string
  readonly redirectStatus: 302 | 307
  /** HEAD with a URL that was signed for GET; as GET unless given. */
  readonly head?: Words
  /** A request that shows an `Authorization`; ignored unless given. */
  readonly authorization?: Words
  /** A URL whose time is over. */
  readonly expired: Words
}

export interface PullLimit {
  readonly counts: 'manifests' | 'requests'
  /** `{limit}` and `{left}` are filled in. */
  readonly headers?: Readonly<Record<string, string>>
  readonly over: Words
}
