/** The certificate that the mirror shows: short-lived, and replaced while the agent runs. */
import { limits } from '../../core/limits.ts'
import { type Authority, type CertifiedKey, issueServer } from './certificates.ts'

export interface ServerCertificate {
  readonly first: CertifiedKey
  /** Has `use` called with each one that follows. */
  renew(use: (certificate: CertifiedKey) => void): void
  stop(): void
}

interface Components {
  readonly authority: Authority
  /** The node's own time, as clients on it will compare; milliseconds since 1970. */
  readonly now: () => number
}

/** `names` are those that clients call the server by. */
export async function createServerCertificate(
  { authority, now }: Components,
  names: readonly string[],
): Promise<ServerCertificate> {
  let issuedMs = now()
  let timer: NodeJS.Timeout | undefined
  const issue = (): Promise<CertifiedKey> => issueServer(authority, names, new Date(issuedMs))

  /** The clock may have been set, to either side. */
  function isDue(): boolean {
    return Math.abs(now() - issuedMs) > limits.mirrorCertificateMs / 2
  }

  return {
    first: await issue(),
    renew(use) {
      timer = setInterval(() => {
        if (!isDue()) return
        issuedMs = now()
        void issue().then(use)
      }, limits.mirrorCertificateCheckMs)
    },
    stop: () => clearInterval(timer),
  }
}

/** What clients on this node and beside it call a mirror at `host` by; `hostNames` are the operator's own. */
export function serverNames(host: string, hostNames: readonly string[]): string[] {
  const everywhere = host === '0.0.0.0' || host === '::'
  return [...new Set(['127.0.0.1', '::1', 'localhost', ...(everywhere ? [] : [host]), ...hostNames])]
}
