import { ShoalError } from '../core/errors.ts'
import { formatHostPort, type HostPort } from './config-values.ts'

const reasons: Readonly<Record<string, string>> = {
  EACCES: 'this process may not take that port',
  EADDRINUSE: 'the port is taken',
  EADDRNOTAVAIL: 'this node has no such address',
}

/** What the operator reads when a listener did not open: which one, where, and why. libp2p hands the errno on in its text. */
export function listenError(
  listener: 'mirror' | 'peers' | 'bulk' | 'cluster' | 'ops',
  at: HostPort,
  cause: unknown,
): ShoalError {
  const text = cause instanceof Error ? cause.message : String(cause)
  const errno = /\bE[A-Z]{4,}\b/.exec(text)?.[0] ?? ''
  const detail = `The ${listener} listener did not open at ${formatHostPort(at)}: ${reasons[errno] ?? text}`
  return new ShoalError('LISTEN_FAILED', detail, { cause })
}
