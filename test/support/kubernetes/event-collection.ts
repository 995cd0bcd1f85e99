/**
 * The Events of a namespace as the API server keeps them: what it would refuse is refused (pkg/apis/core/validation/events.go of
 * Kubernetes 1.35, for events.k8s.io/v1), and no role lets more be done than to create and to patch.
 */
import type { SentObject } from './api.ts'
import { openSchemas } from './schemas.ts'

export interface StoredEvent {
  readonly apiVersion: string
  readonly kind: string
  readonly metadata: { readonly namespace: string; readonly name: string }
  readonly regarding: Readonly<Record<string, string>>
  readonly reportingController: string
  readonly reportingInstance: string
  readonly action: string
  readonly reason: string
  readonly type: string
  readonly note: string
  readonly eventTime: string
  readonly series?: { readonly count: number; readonly lastObservedTime: string }
}

export interface EventCollection {
  /** In the order in which they came, each as it is now. */
  readonly events: readonly StoredEvent[]
  /** What was refused, and why. */
  readonly refused: readonly string[]
  /** For `startKubernetesApi`. */
  readonly answer: (objectPath: string, sent: SentObject) => unknown
  /** As when their time is over. */
  dropAll(): void
}

const faultsOfSchema = openSchemas('1.37')
const microTime = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z$/
const qualifiedName = /^([a-z0-9.-]{1,253}\/)?[A-Za-z0-9][A-Za-z0-9._-]{0,62}$/
const subdomain = /^[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?$/

export function createEventCollection(namespace: string): EventCollection {
  const collection = `/apis/events.k8s.io/v1/namespaces/${namespace}/events`
  const events: StoredEvent[] = []
  const refused: string[] = []

  function create(object: unknown): unknown {
    const event = object as StoredEvent
    const faults = faultsOf(event, namespace)
    if (faults.length > 0) return refuse(faults)
    if (events.some(({ metadata }) => metadata.name === event.metadata.name)) return 409
    events.push(event)
    return event
  }

  function patch(name: string, changes: object): unknown {
    const at = events.findIndex(({ metadata }) => metadata.name === name)
    if (at < 0) return 404
    const changed = { ...(events[at] as StoredEvent), ...changes }
    const faults = [
      ...Object.keys(changes).flatMap((key) => (key === 'series' ? [] : [`${key} is immutable`])),
      ...faultsOf(changed, namespace),
    ]
    if (faults.length > 0) return refuse(faults)
    events[at] = changed
    return changed
  }

  function refuse(faults: readonly string[]): number {
    refused.push(...faults)
    return 422
  }

  return {
    events,
    refused,
    answer(objectPath, { method, object }) {
      if (method === 'POST' && objectPath === collection) return create(object)
      const isOne = objectPath.startsWith(`${collection}/`)
      if (method === 'PATCH' && isOne) return patch(objectPath.slice(collection.length + 1), object ?? {})
      return undefined
    },
    dropAll: () => void events.splice(0),
  }
}

function faultsOf(event: StoredEvent, namespace: string): string[] {
  const { metadata, regarding, eventTime, type, note, series } = event
  const named = { action: event.action, reason: event.reason, reportingInstance: event.reportingInstance }
  const wrong: Readonly<Record<string, boolean>> = {
    'metadata.name': !subdomain.test(metadata.name),
    'metadata.namespace': metadata.namespace !== namespace,
    'regarding.namespace': regarding['namespace'] !== namespace,
    eventTime: !microTime.test(eventTime),
    type: type !== 'Normal' && type !== 'Warning',
    reportingController: !qualifiedName.test(event.reportingController),
    note: Buffer.byteLength(note) > 1024,
    'series.count': series !== undefined && series.count < 2,
    'series.lastObservedTime': series !== undefined && !microTime.test(series.lastObservedTime),
  }
  return [
    ...faultsOfSchema(event),
    ...Object.keys(event).filter((key) => key.startsWith('deprecated')),
    ...Object.entries(named).flatMap(([key, text]) => (text.length > 0 && text.length <= 128 ? [] : [key])),
    ...Object.keys(wrong).filter((key) => wrong[key]),
  ]
}
