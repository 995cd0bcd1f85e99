/** Image names as people write them, and as Docker reads them. */
import type { Digest } from '../core/oci/digest.ts'
import { isRepositoryName, parseReference } from '../core/oci/reference.ts'
import { looksLikeHost, parseOrigin, repositoryAt } from '../agent/upstream/origin-name.ts'

export interface ImageReference {
  /** Canonical. */
  readonly origin: string
  /** As its origin has it. */
  readonly repository: string
  readonly tag: string | undefined
  readonly digest: Digest | undefined
}

/** `alpine`, `team/app:v1`, `registry.corp:5000/app@sha256:…`; `latest` where it has neither tag nor digest. Undefined for what is none. */
export function parseImageReference(text: string): ImageReference | undefined {
  const {
    name = '',
    tagText,
    digestText,
  } = /^(?<name>[^@]+?)(?::(?<tagText>[^:/@]+))?(?:@(?<digestText>.+))?$/.exec(text)?.groups ?? {}
  const [first = '', ...rest] = name.split('/')
  const isNamed = rest.length > 0 && looksLikeHost(first)
  const origin = parseOrigin(isNamed ? first : 'docker.io')?.text
  const repository = isNamed ? rest.join('/') : name
  const tag = parseReference(tagText ?? (digestText === undefined ? 'latest' : ''))
  const digest = parseReference(digestText ?? '')
  if (origin === undefined || !isRepositoryName(repository)) return undefined
  if ((tagText !== undefined && tag?.kind !== 'tag') || (digestText !== undefined && digest?.kind !== 'digest'))
    return undefined
  return {
    origin,
    repository: repositoryAt(origin, repository),
    tag: tag?.kind === 'tag' ? tag.tag : undefined,
    digest: digest?.kind === 'digest' ? digest.digest : undefined,
  }
}
