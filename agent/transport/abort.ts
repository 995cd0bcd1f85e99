import type { Connection } from '@libp2p/interface'

/**
 * Ends a connection at once. libp2p's `abort` says goodbye first, which throws where the other side has just ended the connection, and
 * leaves the socket open; a second one closes that.
 */
export function abortConnection(connection: Pick<Connection, 'abort'>, reason: string): void {
  const error = new Error(reason)
  try {
    connection.abort(error)
  } catch {
    connection.abort(error)
  }
}
