/** Who else on this node may touch a file that the agent trusts. */
import type { Logger } from './logging.ts'

/** What is wrong with a file that decides what the agent trusts or runs; undefined where nothing is. */
export function writableByAll(mode: number): string | undefined {
  return (mode & 0o002) === 0 ? undefined : 'may be written by every user of this node (chmod o-w)'
}

/** A warning and no error: Kubernetes mounts Secrets so, unless told otherwise, and in a pod of its own nobody else sees them. */
export function warnOfReaders(logger: Pick<Logger, 'warn'>, file: string, mode: number): void {
  if ((mode & 0o004) !== 0)
    logger.warn({ file }, 'every user of this node may read a file with secrets: chmod o-r, or defaultMode 0440')
}
