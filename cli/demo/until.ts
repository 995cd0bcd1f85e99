import { setTimeout as sleep } from 'node:timers/promises'
import { second } from '../../core/units.ts'

/** Far above what anything here takes, since a machine may be busy: it ends a hang, and is no measure. */
const timeoutMs = 60 * second

/** Asks until `check` says yes; rejects, naming `what`, when it takes too long. */
export async function untilTrue(what: string, check: () => Promise<boolean>): Promise<void> {
  const deadlineMs = performance.now() + timeoutMs
  while (!(await check())) {
    if (performance.now() > deadlineMs) throw new Error(`${what} is not as expected after ${timeoutMs / second} s`)
    await sleep(50)
  }
}
