/** Tells the cluster what doctor finds, as Events of the agent's own pod (events.k8s.io/v1): for `kubectl describe pod`. */
import type { EventWrite, FindingEvents } from '../../core/doctor/events.ts'
import type { Finding, FindingCode } from '../../core/doctor/findings.ts'
import { reasonOf } from '../doctor/reasons.ts'
import type { ClusterApi } from './cluster-api.ts'

export interface TellerComponents {
  readonly api: Pick<ClusterApi, 'create' | 'merge'>
  readonly events: FindingEvents
  readonly logger: Record<'info' | 'warn', (fields: object, message: string) => void>
  /** The time of day, in ms of the Unix epoch. */
  readonly now: () => number
}

export interface Pod {
  readonly namespace: string
  readonly name: string
  readonly uid: string
}

/** Writes what is to be said after a look that found these; never rejects. A look that ends meanwhile is not told. */
export type TellFindings = (found: readonly Finding[]) => Promise<void>

export function createTeller({ api, events, logger, now }: TellerComponents, pod: Pod): TellFindings {
  const collection = `/apis/events.k8s.io/v1/namespaces/${pod.namespace}/events`
  /** Of the Events that count. */
  const names = new Map<FindingCode, string>()
  let isTelling = false
  let isFailing = false

  async function write(toWrite: EventWrite): Promise<void> {
    const { kind, code, count } = toWrite
    const name = names.get(code)
    const series = { count, lastObservedTime: microTime(now()) }
    if (kind === 'again' && name !== undefined && (await api.merge(`${collection}/${name}`, { series }))) return
    // Also in place of one that is gone: Kubernetes drops old ones.
    const event = eventObject(toWrite, pod, now())
    await api.create(collection, event)
    names.set(code, event.metadata.name)
  }

  /** Ends at the first that fails: the next would too, and the next look is soon enough. */
  async function writeAll(writes: readonly EventWrite[]): Promise<void> {
    for (const each of writes) {
      await write(each)
      events.written(each)
      if (isFailing) logger.info({}, 'Kubernetes Events are written again')
      isFailing = false
    }
  }

  return async (found) => {
    if (isTelling) return
    isTelling = true
    try {
      await writeAll(events.look(found))
    } catch (error) {
      if (!isFailing) logger.warn({ reason: reasonOf(error) }, 'Kubernetes Events can not be written')
      isFailing = true
    } finally {
      isTelling = false
    }
  }
}

function eventObject({ code, type, reason, note }: EventWrite, pod: Pod, nowMs: number) {
  const { namespace, name, uid } = pod
  return {
    apiVersion: 'events.k8s.io/v1',
    kind: 'Event',
    metadata: { namespace, name: `${name}.${code.toLowerCase().replaceAll('_', '-')}.${nowMs.toString(16)}` },
    regarding: { apiVersion: 'v1', kind: 'Pod', namespace, name, uid },
    reportingController: 'shoal/agent',
    reportingInstance: name,
    action: 'Diagnose',
    type,
    reason,
    note,
    eventTime: microTime(nowMs),
  }
}

/** Kubernetes' MicroTime takes exactly six digits. */
function microTime(ms: number): string {
  return new Date(ms).toISOString().replace('Z', '000Z')
}
