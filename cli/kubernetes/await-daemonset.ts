/** Waits until a DaemonSet has done its work on every node: what a hook of the chart needs, for Helm itself waits only for Jobs. */
import { z } from 'zod'
import { ShoalError } from '../../core/errors.ts'
import { limits } from '../../core/limits.ts'
import type { Clock } from '../../core/ports.ts'
import type { ClusterApi } from '../../agent/kubernetes/cluster-api.ts'

export interface ObjectName {
  readonly namespace: string
  readonly name: string
}

export interface AwaitComponents {
  readonly get: ClusterApi['get']
  readonly clock: Pick<Clock, 'now'>
  readonly pause: (ms: number) => Promise<unknown>
  readonly print: (text: string) => void
}

export interface AwaitOptions extends ObjectName {
  readonly timeoutMs: number
  /** Does it fail when the time is over, or go on? */
  readonly mustBeDone: boolean
}

const count = z.int().min(0).default(0)
const daemonSetSchema = z.object({
  metadata: z.object({ generation: count }),
  status: z
    .object({
      observedGeneration: count,
      desiredNumberScheduled: count,
      updatedNumberScheduled: count,
      numberReady: count,
    })
    .prefault({}),
})

/** Rejects with `NODES_LEFT` when the time is over; what fails meanwhile is tried again. */
export async function awaitDaemonSet(
  { get, clock, pause, print }: AwaitComponents,
  options: AwaitOptions,
): Promise<void> {
  const { namespace, name, timeoutMs, mustBeDone } = options
  const untilMs = clock.now() + timeoutMs
  let said = ''
  const say = (text: string): void => {
    if (text !== said) print(`${text}\n`)
    said = text
  }
  for (;;) {
    const progress = await progressOf(get, `/apis/apps/v1/namespaces/${namespace}/daemonsets/${name}`)
    say(progress.text)
    if (progress.isDone) return
    if (clock.now() >= untilMs) {
      if (mustBeDone) throw new ShoalError('NODES_LEFT', `DaemonSet ${namespace}/${name}: ${progress.text}`)
      return say('the time is over; going on')
    }
    await pause(limits.daemonSetLookMs)
  }
}

async function progressOf(get: ClusterApi['get'], objectPath: string): Promise<{ text: string; isDone: boolean }> {
  try {
    const { metadata, status } = daemonSetSchema.parse(await get(objectPath))
    // Before its controller has seen it, all its counts are of another time.
    if (status.observedGeneration < metadata.generation)
      return { text: 'not seen by its controller yet', isDone: false }
    const { desiredNumberScheduled: nodes, updatedNumberScheduled, numberReady } = status
    const done = Math.min(updatedNumberScheduled, numberReady)
    return { text: `${done} of ${nodes} nodes`, isDone: done >= nodes }
  } catch (error) {
    return { text: error instanceof Error ? error.message : String(error), isDone: false }
  }
}
