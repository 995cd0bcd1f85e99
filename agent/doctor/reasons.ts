/** Why something did not work, in a word or two: nothing of what a file or an answer holds. */
import { ShoalError } from '../../core/errors.ts'
import type { Checked } from '../../core/doctor/facts.ts'
import { codeOf } from '../kept-file.ts'

/** The errno, else the first line of what was said. */
export function reasonOf(error: unknown): string {
  if (error instanceof ShoalError) return error.detail
  const code = codeOf(error)
  if (/^E[A-Z_]+$/.test(code)) return code
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
