/** agent/swarm/take-overs.ts: what a node takes that another leaves, on real time with the twins of disk and network. */
import { afterEach, beforeEach, expect, onTestFinished, test } from 'vitest'
import { createLogger } from '../../../agent/logging.ts'
import { createTakeOvers, type TakeOvers } from '../../../agent/swarm/take-overs.ts'
import { OriginError } from '../../../agent/upstream/origin-error.ts'
import type { Digest } from '../../../core/oci/digest.ts'
import { createMemoryOrigin, type MemoryOrigin } from '../../support/memory-origin.ts'
import { digestOf, repository, someBytes } from '../../support/registry-content.ts'
import { createSwarmNodes, readBytes, type SwarmNode, type SwarmNodes, wantOf } from '../../support/swarm-nodes.ts'
import { until } from '../../support/until.ts'

const bytes = someBytes(1_500_000)
const want = wantOf(digestOf(bytes), bytes.length)

let nodes: SwarmNodes

beforeEach(() => {
  nodes = createSwarmNodes('take-overs')
})
afterEach(() => nodes.stop())

function originOf(): MemoryOrigin {
  const { manifests, tags } = repository('{}', [])
  const held = { manifests, tags, blobs: new Map([[want.digest, bytes]]), authorization: undefined }
  return createMemoryOrigin({ 'registry.test': { 'team/app': held } })
}

function takeOversOf({ runner, store }: SwarmNode, freeBytes = Infinity): TakeOvers {
  const logger = createLogger({ level: 'fatal', format: 'json' })
  const room = { state: (digest: Digest) => store.state(digest), hasRoomFor: (size: number) => size <= freeBytes }
  const takeOvers = createTakeOvers({ runner, store: room, logger })
  onTestFinished(() => takeOvers.stop())
  return takeOvers
}

/** One has pulled the blob; the other's origin is down. */
async function seedAndHeir(): Promise<{ heir: SwarmNode; unasked: MemoryOrigin }> {
  await readBytes(await nodes.add(originOf()), want)
  const unasked = originOf()
  unasked.fail(new OriginError('unavailable', 'down'))
  return { heir: await nodes.add(unasked), unasked }
}

test('the blob comes from the peer that leaves, and the origin is not asked', async () => {
  const { heir, unasked } = await seedAndHeir()
  const takeOvers = takeOversOf(heir)
  expect(takeOvers.take(want.digest, bytes.length)).toBe(true)
  await until(() => heir.store.state(want.digest)?.complete === true)
  expect(unasked.calls).toEqual([])
  expect(heir.runner.swarm.stats().readers).toBe(0)
  // It is here by now, whatever room there is.
  expect(takeOversOf(heir, 0).take(want.digest, bytes.length)).toBe(true)
})

test('nothing is taken for which there is no free room', async () => {
  const { heir } = await seedAndHeir()
  expect(takeOversOf(heir, bytes.length - 1).take(want.digest, bytes.length)).toBe(false)
  expect(heir.runner.swarm.stats().readers).toBe(0)
})

test('nothing is taken by who stops, and what was begun ends', async () => {
  const heir = await nodes.add(originOf())
  const takeOvers = takeOversOf(heir)
  expect(takeOvers.take(want.digest, bytes.length)).toBe(true)
  await until(() => heir.runner.swarm.stats().readers === 1)
  takeOvers.stop()
  await until(() => heir.runner.swarm.stats().readers === 0)
  expect(takeOvers.take(want.digest, bytes.length)).toBe(false)
})

test('a blob that the disk refuses is given up', async () => {
  const { heir } = await seedAndHeir()
  heir.store.refuse('DISK_FULL')
  expect(takeOversOf(heir).take(want.digest, bytes.length)).toBe(true)
  await until(() => heir.runner.swarm.stats().readers === 1)
  await until(() => heir.runner.swarm.stats().readers === 0)
  expect(heir.store.state(want.digest)?.complete).not.toBe(true)
})
