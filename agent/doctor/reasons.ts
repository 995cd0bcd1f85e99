/** Why something did not work, in a word or two: nothing of what a file or an answer holds. */
import { ShoalError } from '../../core/errors.ts'
import type { Checked } from '../../core/doctor/facts.ts'
import { limits } from '../../core/limits.ts'
import { second } from '../../core/units.ts'
import { codeOf } from '../kept-file.ts'
import { within } from '../system/within.ts'

export const noAnswer = `no answer within ${limits.doctorQuestionMs / second} s`

/** The errno, or what OpenSSL calls it, else the first line of what was said. */
export function reasonOf(error: unknown): string {
  if (error instanceof ShoalError) return error.detail
  const code = codeOf(error)
  if (/^[A-Z][A-Z0-9_]+$/.test(code)) return code
  return error instanceof Error ? (error.message.split('\n')[0] ?? '') : String(error)
}

/** Does `work` end well? */
export async function check(work: () => Promise<unknown>): Promise<Checked> {
  try {
    await work()
    return { ok: true }
  } catch (error) {
    return { ok: false, reason: reasonOf(error) }
  }
}

/** What began it all, where an error only hands another one on. */
export function innermostReason(error: unknown): string {
  return error instanceof Error && error.cause instanceof Error ? innermostReason(error.cause) : reasonOf(error)
}

/** Rejects where `work` takes longer than one question may. */
export async function inTime<Value>(work: Promise<Value>): Promise<Value> {
  if (await within(work, limits.doctorQuestionMs)) return work
  throw new Error(noAnswer)
}
