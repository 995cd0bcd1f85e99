/** The agent looks after itself: at its start and every few minutes, beside everything else and in nobody's way. */
import { blocksPulls, type Finding, findingCodes } from '../../core/doctor/findings.ts'
import { limits } from '../../core/limits.ts'
import type { Metrics } from '../metrics.ts'
import type { Readiness } from '../ops/server.ts'
import { reasonOf } from './reasons.ts'

export interface SelfDoctorComponents {
  readonly logger: Record<'info' | 'warn', (fields: object, message: string) => void>
  readonly metrics: Pick<Metrics, 'set'>
  readonly look: () => Promise<readonly Finding[]>
  /** Is told what each look found, for others to know; at once, and nobody waits for it. */
  readonly tell?: ((found: readonly Finding[]) => unknown) | undefined
}

export interface SelfDoctor {
  /** Looks now, soon again, then now and then. */
  start(): void
  /** A look that is under way ends by itself, soon. */
  stop(): void
  /** Looks anew, or joins a look that is under way. */
  examine(): Promise<readonly Finding[]>
  /** Not ready while no pull of this node can go through Shoal, nor before the first look has ended. */
  readiness(): Readiness
}

export function createSelfDoctor({ logger, metrics, look, tell }: SelfDoctorComponents): SelfDoctor {
  let findings: readonly Finding[] = []
  let looking: Promise<readonly Finding[]> | undefined
  let again: NodeJS.Timeout | undefined
  let timer: NodeJS.Timeout | undefined
  /** Has a look ended, however? */
  let hasTried = false

  function note(found: readonly Finding[]): readonly Finding[] {
    const isNew = (each: Finding): boolean =>
      !findings.some(({ code, what }) => code === each.code && what === each.what)
    for (const { code, severity, what, fix } of found.filter(isNew))
      logger[severity === 'info' ? 'info' : 'warn']({ code, severity, fix }, what)
    const codes = new Set(found.map(({ code }) => code))
    for (const { code } of findings) if (!codes.has(code)) logger.info({ code }, 'doctor no longer finds this')
    for (const code of findingCodes) metrics.set('shoal_doctor_finding', codes.has(code) ? 1 : 0, { code })
    findings = found
    void tell?.(found)
    return found
  }

  function examine(): Promise<readonly Finding[]> {
    looking ??= look()
      .then(note)
      .finally(() => {
        hasTried = true
        looking = undefined
      })
    return looking
  }

  async function lookAround(): Promise<void> {
    await examine().catch((error: unknown) => logger.warn({ reason: reasonOf(error) }, 'doctor could not look'))
  }

  return {
    start() {
      void lookAround()
      again = setTimeout(() => {
        // A look that hangs, as a disk may, keeps no agent from being ready.
        hasTried = true
        void lookAround()
      }, limits.doctorAgainMs)
      timer = setInterval(() => void lookAround(), limits.doctorEveryMs)
    },
    stop() {
      clearTimeout(again)
      clearInterval(timer)
    },
    examine,
    readiness() {
      // The start-up taint goes once it is ready, and pods would start past Shoal.
      if (!hasTried) return { ready: false, reason: 'doctor has not looked yet' }
      const details = findings.map(({ code, severity, what }) => ({ code, severity, what }))
      const shown = details.length === 0 ? {} : { details }
      const blocking = findings.filter(blocksPulls)
      if (blocking.length === 0) return { ready: true, ...shown }
      return { ready: false, reason: blocking.map(({ code, what }) => `${code}: ${what}`).join('; '), ...shown }
    },
  }
}
