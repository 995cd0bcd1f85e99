/** What the mirror sees of containerd: which release, and when it last got an answer. */
import { limits } from '../../core/limits.ts'
import type { Clock } from '../../core/ports.ts'
import type { AnsweredRequest } from '../registry/ports.ts'
import { releaseIn } from './containerd-process.ts'

export interface ContainerdAsks {
  note(request: Pick<AnsweredRequest, 'userAgent'>): void
  /** Undefined: not since the start. */
  askedAgoMs(): number | undefined
  version(): string | undefined
}

export function createContainerdAsks(clock: Clock): ContainerdAsks {
  let askedMs: number | undefined
  let version: string | undefined
  return {
    note({ userAgent }) {
      if (userAgent?.startsWith('containerd/') !== true) return
      askedMs = clock.now()
      version = releaseIn(userAgent.slice(0, limits.userAgentMaxLength)) ?? version
    },
    askedAgoMs: () => (askedMs === undefined ? undefined : clock.now() - askedMs),
    version: () => version,
  }
}
