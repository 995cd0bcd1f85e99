/** The certificate that the mirror shows: short-lived, and replaced while the agent runs. */
import { limits } from '../../core/limits.ts'
import { type Authority, type CertifiedKey, issueServer } from './certificates.ts'

export interface ServerCertificate {
  readonly first: CertifiedKey
  /** Has `use` called with each one that follows; one that fails is tried again at the next look. */
  renew(use: (certificate: CertifiedKey) => void): void
  /** Why the last try failed; undefined where none did since the one that is shown. */
  failure(): string | undefined
  stop(): void
}

interface Components {
  readonly authority: Authority
  /** The node's own time, as clients on it will compare; milliseconds since 1970. */
  readonly now: () => number
  readonly logger: { error(fields: object, message: string): void }
}

/** `names` are those that clients call the server by. */
export async function createServerCertificate(
  { authority, now, logger }: Components,
  names: readonly string[],
): Promise<ServerCertificate> {
  let issuedMs = now()
  let timer: NodeJS.Timeout | undefined
  let failure: string | undefined
  const issue = (atMs: number): Promise<CertifiedKey> => issueServer(authority, names, new Date(atMs))

  /** The clock may have been set, to either side. */
  function isDue(): boolean {
    return Math.abs(now() - issuedMs) > limits.mirrorCertificateMs / 2
  }

  async function renewWhereDue(use: (certificate: CertifiedKey) => void): Promise<void> {
    if (!isDue()) return
    const beforeMs = issuedMs
    issuedMs = now()
    try {
      use(await issue(issuedMs))
      failure = undefined
    } catch (error) {
      issuedMs = beforeMs
      failure = error instanceof Error ? error.message : String(error)
      logger.error({ err: error }, "the mirror's certificate was not renewed; it is tried again")
    }
  }

  return {
    first: await issue(issuedMs),
    renew(use) {
      timer = setInterval(() => void renewWhereDue(use), limits.mirrorCertificateCheckMs)
    },
    failure: () => failure,
    stop: () => clearInterval(timer),
  }
}

/** What clients on this node and beside it call a mirror at `host` by; `hostNames` are the operator's own. */
export function serverNames(host: string, hostNames: readonly string[]): string[] {
  const everywhere = host === '0.0.0.0' || host === '::'
  return [...new Set(['127.0.0.1', '::1', 'localhost', ...(everywhere ? [] : [host]), ...hostNames])]
}
