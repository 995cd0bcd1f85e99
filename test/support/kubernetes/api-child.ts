/**
 * The Kubernetes API on a host of its own, as far as agents use it: `api-child.ts <address> <namespace> <directory>` says what kubelet
 * gives a pod to reach it, and at each message the Events that it has by then.
 */
import { startKubernetesApi } from './api.ts'
import { createEventCollection } from './event-collection.ts'

const [, , address = '', namespace = '', directory = ''] = process.argv
const collection = createEventCollection(namespace)
const { pod } = await startKubernetesApi(directory, collection.answer, address)
process.on('message', () => process.send?.(collection))
process.on('disconnect', () => process.exit())
process.send?.(pod)
