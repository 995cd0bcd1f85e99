/**
 * A process that is a member, holds the secret, and lies: an agent's own parts around a store of its own making, with one
 * lie in the place where it is told; or a bare libp2p node that says what no agent would. Its first argument says which.
 */
import { readFile } from 'node:fs/promises'
import { setTimeout as sleep } from 'node:timers/promises'
import { createMemberCluster } from '../../agent/cluster/member-cluster.ts'
import { announceCall } from '../../agent/cluster/wire.ts'
import { readClusterSecrets, type ClusterSecrets } from '../../agent/cluster-secret.ts'
import { createIdentity, type Identity } from '../../agent/identity/identity.ts'
import { createNotary } from '../../agent/identity/notary.ts'
import { forgetful } from '../../agent/lesson-file.ts'
import { createLogger } from '../../agent/logging.ts'
import { createRunner, type Runner } from '../../agent/swarm/runner.ts'
import { systemClock } from '../../agent/system/clock.ts'
import { systemRandom } from '../../agent/system/random.ts'
import { createPeerTransport } from '../../agent/transport/libp2p-transport.ts'
import type { PeerTransport } from '../../agent/transport/peer-transport.ts'
import { endlessLife } from '../../core/swarm/state.ts'
import { createRateLimits } from '../../core/swarm/rate.ts'
import { sleepBySystem } from '../../agent/upstream/retry.ts'
import { OriginError } from '../../agent/upstream/origin-error.ts'
import type { AnnounceAnswer, TimedAnswer } from '../../core/directory/messages.ts'
import { createOwners } from '../../core/directory/owners.ts'
import { limits } from '../../core/limits.ts'
import { digestHex, type Digest } from '../../core/oci/digest.ts'
import { nowhere } from '../../core/members/places.ts'
import type { PeerId } from '../../core/ports.ts'
import { fullBitfield } from '../../core/swarm/bitfield.ts'
import { chunkCountOf, chunkLengthOf, chunkSizeOf } from '../../core/swarm/chunks.ts'
import { entryPayload, type Entry, type Witness } from '../../core/swarm/entry.ts'
import { hour } from '../../core/units.ts'
import { createMemoryStore, type MemoryStore } from './memory-store.ts'
import { intrude, type Intrusion } from './intruder.ts'
import { digestOf } from './registry-content.ts'

export interface HostileOrders {
  readonly lie:
    | 'sends rubbish'
    | 'vouches for wrong bytes'
    | 'says the origin gave wrong bytes'
    | 'claims all'
    | 'trickles'
    | 'grants everybody'
    | 'grants nobody'
    | 'names only itself'
    | Intrusion
  /** The loopback address that it has to itself. */
  readonly host: string
  readonly secretFile: string
  /** Cluster listeners, and peers listeners, of honest agents. */
  readonly seeds: readonly string[]
  readonly peers: readonly string[]
  /** The blobs about which it lies, and where their bytes are. */
  readonly blobs: readonly { readonly digest: Digest; readonly size: number; readonly file: string }[]
  /** What it says that it took them from. */
  readonly origin: string
  /** Whose directories it is to host: it takes an ID that comes first among these. */
  readonly members: readonly PeerId[]
  readonly owns?: Digest
}

const orders: HostileOrders = JSON.parse(process.argv[2] ?? '')

async function runMember({ lie, host, seeds }: HostileOrders, admitted: ClusterSecrets): Promise<void> {
  const identity = identityThatOwns(orders)
  const logger = createLogger({ level: 'fatal', format: 'json' })
  const [clock, random, notary] = [systemClock, systemRandom(), createNotary(identity)]
  const honest = await createPeerTransport(
    { identity, secrets: admitted, clock, log: logger },
    { listen: { host, port: 0 }, bulkListen: { host, port: 0 }, advertiseAddress: host },
  )
  const transport = transportLies[lie]?.(honest) ?? honest
  lieInAnswers(lie, transport)
  const store = createMemoryStore()
  if (lie !== 'grants nobody' && lie !== 'grants everybody')
    await fill(store, identity, lie === 'vouches for wrong bytes' || lie === 'says the origin gave wrong bytes')
  const runner: Runner = createRunner({
    clock,
    random,
    notary,
    store,
    lessons: forgetful,
    transport,
    origin: { fetchRange: async () => Promise.reject(new OriginError('unavailable', 'it asks no origin')) },
    lives: { lifeOf: () => endlessLife, ending: () => undefined },
    rates: createRateLimits(clock),
    sleep: sleepBySystem,
    logger,
    observer: { received: nothing, uploaded: nothing, refused: nothing, banned: nothing, escaped: nothing },
    announce: (digest, now) => cluster.announce(digest, now),
    caution: () => cluster.caution(),
    offer: async () => false,
    onFetched: nothing,
  })
  const announced = Promise.withResolvers<void>()
  const cluster = createMemberCluster(
    {
      clock,
      random,
      logger,
      secrets: admitted,
      transport,
      runner: { swarm: runner.swarm, post: (event) => runner.post(event) },
      contents: { serve: async () => ({ kind: 'none' }), take: () => false },
      places: nowhere,
      observer: { called: () => announced.resolve(), hosted: nothing },
    },
    { listen: { host, port: 0 }, advertiseAddress: host, seeds: seeds.map(hostPortOf) },
  )
  runner.start()
  await transport.start()
  await cluster.start()
  await Promise.race([announced.promise, sleep(limits.seedGraceMs)])
  process.send?.({ peer: transport.self })
}

function nothing(): void {}

function hostPortOf(text: string): { host: string; port: number } {
  const [host = '', port = ''] = text.split(':')
  return { host, port: Number(port) }
}

/** IDs cost nothing: it makes one that rendezvous hashing puts first. */
function identityThatOwns({ members, owns }: HostileOrders): Identity {
  for (;;) {
    const identity = createIdentity()
    if (owns === undefined) return identity
    const owners = createOwners({ self: identity.peer, clock: systemClock })
    for (const member of [identity.peer, ...members]) owners.add(member)
    if (owners.of(owns)[0] === identity.peer) return identity
  }
}

/** By the hash of a chunk that it holds: the word that it took that from the origin. */
const fetchedEntries = new Map<string, Entry>()

/** Holds every blob as if it had proved it; `wrong`: with the first byte of each chunk changed. */
async function fill(store: MemoryStore, identity: Identity, wrong: boolean): Promise<void> {
  const notary = createNotary(identity)
  for (const { digest, file, size } of orders.blobs) {
    const bytes = await readFile(file)
    const blob = await store.open(digest, size)
    for (let index = 0; index < chunkCountOf(size); index++) {
      const start = index * chunkSizeOf(size)
      const chunk = Buffer.from(bytes.subarray(start, start + chunkLengthOf(size, index)))
      if (wrong) chunk[0] = (chunk[0] ?? 0) ^ 1
      const hash = digestHex(digestOf(chunk))
      const signed = (witness: Witness): Entry => {
        const claim = { index, hash, witness }
        return { ...claim, signer: notary.self, signature: notary.sign(entryPayload(digest, size, claim)) }
      }
      fetchedEntries.set(hash, signed({ kind: 'fetched', origin: orders.origin }))
      await blob.write(index, [chunk], signed({ kind: 'proved' }))
    }
    await blob.markComplete()
    await blob.close()
  }
}

/** What it does to its peers instead of what an agent does. */
const transportLies: Partial<Record<HostileOrders['lie'], (honest: PeerTransport) => PeerTransport>> = {
  'sends rubbish': (honest) => ({
    ...honest,
    async upload(peer, id, offset, entry, source, signal) {
      const rubbish = source instanceof Uint8Array ? source.map((byte) => ~byte) : source
      await honest.upload(peer, id, offset, entry, rubbish, signal)
    },
  }),
  'says the origin gave wrong bytes': (honest) => ({
    ...honest,
    upload: (peer, id, offset, entry, source, signal) =>
      honest.upload(peer, id, offset, fetchedEntries.get(entry.hash) ?? entry, source, signal),
  }),
  trickles: (honest) => ({
    ...honest,
    upload: (peer, id, offset, entry, _source, signal) => honest.upload(peer, id, offset, entry, drops(), signal),
  }),
  'claims all': (honest) => ({
    ...honest,
    upload: (_peer, _id, _offset, _entry, _source, signal) => sleep(hour, undefined, { signal }),
    send(peer, message) {
      if (message.type === 'missing') return
      const isJoin = message.type === 'join'
      honest.send(peer, isJoin ? { ...message, have: fullBitfield(chunkCountOf(message.size)) } : message)
    },
  }),
}

async function* drops(): AsyncGenerator<Uint8Array> {
  for (;;) {
    yield Uint8Array.of(0)
    await sleep(50)
  }
}

/** What its directory says instead of what is so. */
const answerLies: Partial<Record<HostileOrders['lie'], (item: TimedAnswer, self: PeerTransport) => TimedAnswer>> = {
  'grants everybody': ({ leaseAfterMs: _after, ...item }) => {
    const lease = { id: Math.floor(systemClock.now()), start: 0, end: chunkCountOf(item.size ?? 1), ttlMs: 2000 }
    return { ...item, lease }
  },
  'grants nobody': ({ digest, peers, size = 0 }) => ({
    digest,
    size,
    peers,
    leaseAfterMs: 500,
    announceAfterMs: 500,
  }),
  'names only itself': ({ digest, size = 0 }, transport) => {
    const peers = [{ peer: transport.self, addresses: transport.addresses(), complete: true }]
    return {
      digest,
      size,
      peers,
      counts: new Uint8Array(chunkCountOf(size)).fill(1),
      leaseAfterMs: 500,
      announceAfterMs: 500,
    }
  },
}

/** The answers of the directory that this process hosts leave by one function. */
function lieInAnswers(lie: HostileOrders['lie'], transport: PeerTransport): void {
  const change = answerLies[lie]
  if (change === undefined) return
  const honest = { ...announceCall }
  Object.assign(announceCall, {
    writeAnswer: (answer: AnnounceAnswer) =>
      honest.writeAnswer({ ...answer, items: answer.items.map((item) => change(item, transport)) }),
  })
}

const secrets = await readClusterSecrets(
  { clusterSecretFile: orders.secretFile, previousClusterSecretFile: undefined },
  createLogger({ level: 'fatal', format: 'json' }),
)
if (secrets === undefined) throw new Error('a hostile member holds the secret')
process.on('disconnect', () => process.exit())
if (orders.lie === 'malforms' || orders.lie === 'oversizes' || orders.lie === 'floods')
  process.send?.(await intrude(orders.lie, orders.host, orders.peers, secrets))
else await runMember(orders, secrets)
