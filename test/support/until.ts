import { setTimeout } from 'node:timers/promises'

/** Resolves once `condition` holds; the test's own time limit ends a wait in vain. Between two looks the processor is others'. */
export async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await setTimeout(1)
}
