/** Tokens that run out while a blob is fetched: who else may fetch goes on, and who brings a new one is served at once. */
import { afterEach, beforeEach, expect, test } from 'vitest'
import type { Want } from '../../../agent/registry/ports.ts'
import { createCredential, type Credential } from '../../../agent/upstream/credential.ts'
import type { OriginClient } from '../../../agent/upstream/origin-client.ts'
import { OriginError } from '../../../agent/upstream/origin-error.ts'
import type { Digest } from '../../../core/oci/digest.ts'
import { MiB } from '../../../core/units.ts'
import { createMemoryOrigin } from '../../support/memory-origin.ts'
import { digestOf, repository, someBytes } from '../../support/registry-content.ts'
import { createSwarmNodes, readBytes, type SwarmNode, type SwarmNodes, wantOf } from '../../support/swarm-nodes.ts'

/** More than two leases, so that the origin is asked several times. */
const bytes = someBytes(12 * MiB)
const want = wantOf(digestOf(bytes), bytes.length)
const challenge = 'Bearer realm="https://registry.test/token"'

let nodes: SwarmNodes

beforeEach(() => {
  nodes = createSwarmNodes('credentials')
})
afterEach(() => nodes.stop())

function wantedBy(name: string): Want & { readonly credential: Credential } {
  return { ...want, credential: createCredential(`Bearer ${name}`, new Uint8Array(32))! }
}

async function readDigest(node: SwarmNode, name: string): Promise<Digest> {
  return digestOf(await readBytes(node, wantedBy(name)))
}

/** An origin that takes each credential for so many ranges and no more; what it was shown, by name. */
function tiringOrigin(uses: Readonly<Record<string, number>>): { origin: OriginClient; shown: string[] } {
  const memory = createMemoryOrigin({ 'registry.test': { 'team/app': repository('{}', [bytes]) } })
  const names = new Map(Object.keys(uses).map((name) => [wantedBy(name).credential.key, name]))
  const left = new Map(Object.entries(uses))
  const shown: string[] = []
  return {
    shown,
    origin: {
      ...memory,
      async fetchRange(wanted, credential, signal) {
        const name = names.get(credential.key) ?? ''
        shown.push(name)
        const remaining = left.get(name) ?? 0
        left.set(name, remaining - 1)
        if (remaining <= 0) throw new OriginError('unauthorized', 'spent', { status: 401, challenges: [challenge] })
        return memory.fetchRange(wanted, credential, signal)
      },
    },
  }
}

test("a layer whose reader's token runs out is fetched to its end by another reader's", async () => {
  const { origin, shown } = tiringOrigin({ old: 1, young: Infinity })
  const node = await nodes.add(origin)
  const blob = await node.blobs.open(wantedBy('young'), new AbortController().signal)
  expect(await readDigest(node, 'old')).toBe(want.digest)
  await blob.close()
  // The latest is shown first, until it is refused; a refused one never again.
  expect(shown.slice(0, 3)).toEqual(['old', 'old', 'young'])
  expect(shown.filter((name) => name === 'old')).toHaveLength(2)
})

test("when all are spent, the reader hears the origin's 401, and who comes with a new token gets the rest at once", async () => {
  const { origin, shown } = tiringOrigin({ first: 1, second: 1, third: Infinity })
  const node = await nodes.add(origin)
  for (const name of ['first', 'second'])
    await expect(readDigest(node, name)).rejects.toMatchObject({ status: 401, challenges: [challenge] })
  expect(await readDigest(node, 'third')).toBe(want.digest)
  expect(shown.filter((name) => name !== 'third')).toEqual(['first', 'first', 'second', 'second'])
  expect(node.received.origin).toBe(bytes.length)
})

test("nobody hears what the origin said of another's credential: it may name a repository", async () => {
  const { origin } = tiringOrigin({ own: 1, stranger: Infinity })
  const node = await nodes.add(origin)
  const own = await node.blobs.open(wantedBy('own'), new AbortController().signal)
  await expect(readBytes(node, { ...wantedBy('stranger'), repository: 'team/none' })).rejects.toMatchObject({
    status: 404,
    challenges: [],
  })
  await expect(readDigest(node, 'own')).rejects.toMatchObject({ status: 401, challenges: [challenge] })
  await own.close()
})

test('a lease goes to a node whose token lives', async () => {
  const [spent, living] = [tiringOrigin({ old: 1 }), tiringOrigin({ young: Infinity })]
  const group = await Promise.all([spent, living].map(({ origin }) => nodes.add(origin)))
  const read = await Promise.all(group.map((node, at) => readDigest(node, at === 0 ? 'old' : 'young')))
  expect(read).toEqual([want.digest, want.digest])
  expect(group.reduce((sum, { received }) => sum + received.origin, 0)).toBe(bytes.length)
})

test('a token that is known to end is shown no longer: the bytes come by other nodes, or its caller hears the challenge', async () => {
  const [spent, living] = [tiringOrigin({ old: Infinity }), tiringOrigin({ young: Infinity })]
  const [first, second] = await Promise.all([spent, living].map(({ origin }) => nodes.add(origin)))
  first!.lives.noteShown(wantedBy('old').credential, { leftMs: 1 })
  await expect(readDigest(first!, 'old')).rejects.toMatchObject({ kind: 'unauthorized', status: 401 })
  const held = await second!.blobs.open(wantedBy('young'), new AbortController().signal)
  expect(await readDigest(second!, 'young')).toBe(want.digest)
  await held.close()
  expect(await readDigest(first!, 'old')).toBe(want.digest)
  expect(spent.shown).toEqual([])
})
