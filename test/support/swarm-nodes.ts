/** Nodes that run agent/swarm for real, on twins of network, disk and origin, with one directory among them. */
import { createKnownChallenges } from '../../agent/access/challenges.ts'
import { createCredentialLives, type CredentialLives } from '../../agent/access/credential-lives.ts'
import { createFindings } from '../../agent/access/findings.ts'
import { createNotingOrigin } from '../../agent/access/noting-origin.ts'
import { createPossession } from '../../agent/access/possession.ts'
import { createSparingOrigin } from '../../agent/access/sparing-origin.ts'
import { askContent, type AskContentComponents, askSize } from '../../agent/cluster/ask-content.ts'
import { createNotary } from '../../agent/identity/notary.ts'
import { createIdentity, type Identity } from '../../agent/identity/identity.ts'
import { createLogger } from '../../agent/logging.ts'
import type { Blobs, Want } from '../../agent/registry/ports.ts'
import { createBlobs } from '../../agent/swarm/blobs.ts'
import { createRunner, type Runner } from '../../agent/swarm/runner.ts'
import { createSmallContents, type SmallContents } from '../../agent/swarm/small-contents.ts'
import { systemClock } from '../../agent/system/clock.ts'
import type { PeerTransport } from '../../agent/transport/peer-transport.ts'
import { anonymous } from '../../agent/upstream/credential.ts'
import type { OriginClient } from '../../agent/upstream/origin-client.ts'
import { type Sleep, sleepBySystem } from '../../agent/upstream/retry.ts'
import { createBoundedMap } from '../../core/bounded-map.ts'
import { createDirectoryClient } from '../../core/directory/client.ts'
import { createDirectory, type Directory } from '../../core/directory/directory.ts'
import { limits } from '../../core/limits.ts'
import type { Digest } from '../../core/oci/digest.ts'
import type { BlobStore, Clock, LessonStore, PeerId } from '../../core/ports.ts'
import { createRateLimits, type RateLimits } from '../../core/swarm/rate.ts'
import { allHeld, allPossessed } from './open-possession.ts'
import { createMemoryLessons } from './memory-lessons.ts'
import { createMemoryNetwork, type MemoryNetwork } from './memory-transport.ts'
import { createMemoryStore, type MemoryStore } from './memory-store.ts'
import { policyWith } from './policy.ts'
import { type Repositories, repository } from './registry-content.ts'
import { seededRandom } from './seeded-random.ts'

export interface SwarmNode<Store extends BlobStore = MemoryStore> {
  readonly blobs: Blobs
  readonly store: Store
  readonly lessons: LessonStore
  readonly runner: Runner
  readonly small: SmallContents
  readonly rates: RateLimits
  /** Of the credentials that its callers show. */
  readonly lives: CredentialLives
  /** Content bytes that came to this node, by source. */
  readonly received: { origin: number; peer: number }
  /** Peers that it banned, and chunks that its readers took from the origin because nobody vouched. */
  readonly counts: { bans: number; escapes: number }
  stop(): Promise<void>
}

export interface SwarmNodes {
  /** `origin` is what this node's origin client is; the others are what a node before it has left on disk. */
  add(origin: OriginClient, store?: MemoryStore, lessons?: LessonStore): Promise<SwarmNode>
  /** The same on a store of another kind. */
  addOn<Store extends BlobStore>(origin: OriginClient, store: Store): Promise<SwarmNode<Store>>
  /** How long a blob is, as the directory knows it. */
  announcedSize(digest: Digest): number | undefined
  stop(): Promise<void>
}

export interface SwarmNodesOptions {
  /** Default 1. */
  readonly witnesses?: number
  /** What repositories have, and origins hold, is asked of them. Default: nobody asks. */
  readonly asksPossession?: boolean
  /** The time by which rate limits are kept, and how to wait for it. Default: the system's. */
  readonly rateClock?: Clock
  readonly sleep?: Sleep
  /** Default: a twin, at an address of its own. */
  readonly transport?: (identity: Identity) => Promise<PeerTransport>
}

/** Each node has an address of its own. */
export function createSwarmNodes(
  seed: string,
  { rateClock = systemClock, sleep = sleepBySystem, asksPossession = false, ...options }: SwarmNodesOptions = {},
): SwarmNodes {
  const random = seededRandom(seed)
  const network: MemoryNetwork = createMemoryNetwork(systemClock)
  const logger = createLogger({ level: 'fatal', format: 'json' })
  const nodes: SwarmNode<BlobStore>[] = []
  const contents = new Map<PeerId, SmallContents>()
  let host: PeerId | undefined
  let directory: Directory | undefined

  async function addOn<Store extends BlobStore>(
    registry: OriginClient,
    store: Store,
    lessons = createMemoryLessons(Date.now),
  ): Promise<SwarmNode<Store>> {
    const identity = createIdentity()
    const from = identity.peer
    host ??= identity.peer
    directory ??= createDirectory({
      self: host,
      clock: systemClock,
      random,
      ownersOf: () => [host ?? identity.peer],
      learningMs: () => 0,
      catchingUpMs: () => 0,
      arrivingMs: () => 0,
      ready: () => true,
      suspect: () => {},
    })
    const hosting = directory
    const findings = createFindings({
      clock: systemClock,
      tell: (news) => hosting.possession({ from, ...news }),
    })
    const lives = createCredentialLives({ clock: systemClock, challenges: createKnownChallenges() })
    const origin = createNotingOrigin(createSparingOrigin(registry, lives), findings)
    const possession = createPossession({
      clock: systemClock,
      origin,
      findings,
      random,
      sleep: sleepBySystem,
      policyOf: policyWith({}),
      ask: async (question) => hosting.possession({ from, ...question, tells: [] }),
    })
    const onFetched = (want: Want): void => findings.noteHeld(want)
    const transport =
      (await options.transport?.(identity)) ?? network.create(identity.peer, `127.0.0.${nodes.length + 1}`)
    const received = { origin: 0, peer: 0 }
    const counts = { bans: 0, escapes: 0 }
    const notary = createNotary(identity)
    const rates = createRateLimits(rateClock)
    const observer = {
      received: (source: 'origin' | 'peer', bytes: number) => {
        received[source] += bytes
      },
      uploaded: () => {},
      refused: () => {},
      banned: () => counts.bans++,
      escaped: () => counts.escapes++,
    }
    const runner: Runner = createRunner(
      {
        clock: systemClock,
        random: random.fork(identity.peer),
        notary,
        store,
        lessons,
        transport,
        origin,
        lives,
        rates,
        sleep,
        logger,
        observer,
        announce: (digest, now) => client.announce(digest, now),
        caution: () => {},
        offer: async () => false,
        onFetched,
      },
      options,
    )
    const client = createDirectoryClient({
      clock: systemClock,
      random,
      from: () => ({ peer: identity.peer, addresses: transport.addresses() }),
      state: (digest) => runner.swarm.announceState(digest),
      hosts: () => [host ?? identity.peer],
      nearest: () => [],
      membersCount: () => nodes.length,
      heardMs: () => Number.NEGATIVE_INFINITY,
      suspect: () => {},
      emit: (output) => {
        if (output.type === 'call') client.answered(output.id, hosting.announce(output.request))
        else runner.post(output)
      },
    })
    const asking: AskContentComponents = {
      self: identity.peer,
      clock: systemClock,
      sleep: sleepBySystem,
      resting: createBoundedMap(limits.relaysRestingMax),
      hosts: () => [host ?? identity.peer],
      locate: async (_host, request) => hosting.locate(request),
      read: async (peer, { digest }) => (await contents.get(peer)?.serve(digest)) ?? { kind: 'none' },
    }
    const small = createSmallContents({
      runner,
      store,
      notary,
      origin,
      askPeers: (want, signal) => askContent(asking, want.digest, want.origin, signal),
      rates,
      sleep,
      logger,
      observer,
      onFetched,
    })
    contents.set(identity.peer, small)
    await transport.start()
    runner.start()
    const ticking = setInterval(() => client.tick(), limits.tickMs)
    const blobs = createBlobs({
      runner,
      store,
      small,
      logger,
      sizeAmongPeers: (want) => askSize(asking, want.digest, want.origin),
      origin,
      clock: systemClock,
      ...(asksPossession ? { possession, findings } : { possession: allPossessed, findings: allHeld }),
      onDelivered: () => {},
    })
    const stop = async () => {
      clearInterval(ticking)
      small.stop()
      await runner.stop()
      await transport.stop()
    }
    const node = { blobs, store, lessons, runner, small, rates, lives, received, counts, stop }
    nodes.push(node)
    return node
  }

  return {
    add: (origin, store = createMemoryStore(), lessons) => addOn(origin, store, lessons),
    addOn,
    announcedSize: (digest) => directory?.locate({ from: 'test', digest, origin: 'registry.test', except: [] }).size,
    stop: async () => {
      await Promise.all(nodes.map((node) => node.stop()))
    },
  }
}

export function wantOf(digest: Digest, size: number): Want {
  return { origin: 'registry.test', repository: 'team/app', digest, size, kind: 'blob', credential: anonymous }
}

/** For `createMemoryOrigin`: the origin of `wantOf` gives `content` as the blob `digest`. */
export function originsWith(content: Uint8Array, digest: Digest): Readonly<Record<string, Repositories>> {
  const { manifests, tags } = repository('{}', [])
  const held = { manifests, tags, blobs: new Map([[digest, content]]), authorization: undefined }
  return { 'registry.test': { 'team/app': held } }
}

/** Reads `[start, end)` as a client would; all of the blob counts as a whole read. */
export async function readBytes(
  node: Pick<SwarmNode, 'blobs'>,
  want: Want,
  range = { start: 0, end: want.size ?? 0 },
): Promise<Buffer> {
  const client = await startReading(node, want, range)
  return client.rest()
}

/** A client that takes its bytes when the test says so. */
export interface StartedRead {
  /** Takes on until it has at least `length` bytes. */
  take(length: number): Promise<void>
  /** All that it took, once it has taken all. */
  rest(): Promise<Buffer>
}

export async function startReading(
  { blobs }: Pick<SwarmNode, 'blobs'>,
  want: Want,
  range = { start: 0, end: want.size ?? 0 },
): Promise<StartedRead> {
  const { signal } = new AbortController()
  const blob = await blobs.open(want, signal)
  const whole = range.start === 0 && range.end === blob.size
  const reading = blob.read(range, { whole, signal })[Symbol.asyncIterator]()
  const pieces: Uint8Array[] = []
  let taken = 0

  async function takeOne(): Promise<boolean> {
    const next = await reading.next()
    if (next.done === true) return false
    pieces.push(Buffer.from(next.value))
    taken += next.value.length
    return true
  }

  return {
    async take(length) {
      while (taken < length && (await takeOne()));
    },
    async rest() {
      try {
        while (await takeOne());
        return Buffer.concat(pieces)
      } finally {
        await blob.close()
      }
    },
  }
}
