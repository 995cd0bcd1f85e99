/**
 * Provider records in a kad-dht of our own: the slow fallback that finds seeds when no directory answers. The table is fed
 * by the connections that the swarm makes anyway. A write costs hundreds of milliseconds of CPU (facts/transport.md), so
 * there is one at a time, at a slow pace, and only for digests that the directory names; it names them again in time.
 */
import type { PeerInfo } from '@libp2p/interface'
import { kadDHT, passthroughMapper, type KadDHT, type KadDHTComponents } from '@libp2p/kad-dht'
import { CID } from 'multiformats/cid'
import * as Multihash from 'multiformats/hashes/digest'
import type { PeerAddress } from '../../core/directory/messages.ts'
import { limits } from '../../core/limits.ts'
import { digestHex, type Digest } from '../../core/oci/digest.ts'
import { hour, second } from '../../core/units.ts'
import { targetsOf } from './addresses.ts'
import type { TransportLogger } from './peer-transport.ts'

/** Never, as far as a timer can say it: Node's timers end at 2^31 ms. */
const neverMs = 24 * 24 * hour
const rawCodec = 0x55
const sha256Code = 0x12

/**
 * kad-dht has no option for two of its clocks: every five minutes it walks to random keys, dialing some twenty peers each
 * time, and every few seconds it tags the closest peers to be kept connected, which undoes our disconnects. They are set
 * by their field names, which a test holds to.
 */
export function quietDht(): (components: KadDHTComponents) => KadDHT {
  return (components) => {
    const dht = kadDHT({
      protocol: '/shoal/kad/2',
      clientMode: false,
      peerInfoMapper: passthroughMapper,
      alpha: limits.dhtParallel,
      allowQueryWithZeroPeers: true,
      querySelfInterval: neverMs,
      initialQuerySelfInterval: neverMs,
      providers: { provideValidity: limits.dhtRecordMs / second },
      reprovide: { validity: limits.dhtRecordMs, interval: limits.dhtSweepMs, concurrency: 1 },
    })(components)
    stopClock(dht, 'routingTableRefresh')
    stopClock(dht, 'routingTable', 'closestPeerTagger')
    return dht
  }
}

function stopClock(dht: KadDHT, ...path: readonly string[]): void {
  let owner: unknown = dht
  for (const name of path) owner = Reflect.get(Object(owner), name)
  if (typeof owner !== 'object' || owner === null || !('refreshInterval' in owner)) {
    throw new TypeError(`kad-dht has changed: no clock at ${path.join('.')}`)
  }
  owner.refreshInterval = neverMs
}

function cidOf(digest: Digest): CID {
  return CID.createV1(rawCodec, Multihash.create(sha256Code, Buffer.from(digestHex(digest), 'hex')))
}

export interface Seeds {
  provide(digest: Digest): void
  findSeeds(digest: Digest, signal: AbortSignal): AsyncGenerator<PeerAddress>
  stop(): void
}

export function createSeeds(components: { readonly dht: KadDHT; readonly log: TransportLogger }): Seeds {
  const { dht, log } = components
  const waiting = new Set<Digest>()
  const stopped = new AbortController()
  let timer: NodeJS.Timeout | undefined

  function provide(digest: Digest): void {
    if (stopped.signal.aborted || waiting.size >= limits.dhtProvidesWaitingMax) return
    waiting.add(digest)
    if (timer === undefined) void provideNext()
  }

  async function provideNext(): Promise<void> {
    timer = setTimeout(() => void provideNext(), limits.dhtProvideEveryMs)
    for (const digest of waiting) {
      if (await write(digest)) waiting.delete(digest)
      else again()
      return
    }
    clearTimeout(timer)
    timer = undefined
  }

  /** A record that reached nobody cost nothing: the table has no peers yet. */
  function again(): void {
    clearTimeout(timer)
    if (!stopped.signal.aborted) timer = setTimeout(() => void provideNext(), limits.dhtAgainMs)
  }

  /** Our own copy of the record is dropped again: kad-dht would renew it, and the directory decides about that. */
  async function write(digest: Digest): Promise<boolean> {
    const cid = cidOf(digest)
    let kept = false
    try {
      const signal = AbortSignal.any([stopped.signal, AbortSignal.timeout(limits.dhtFindMs)])
      for await (const event of dht.provide(cid, { signal })) {
        if (event.name === 'PEER_RESPONSE' && event.messageName === 'ADD_PROVIDER') kept = true
      }
      await dht.cancelReprovide(cid)
    } catch (error) {
      log.debug({ digest, reason: String(error) }, 'a provider record was not written')
    }
    return kept
  }

  async function* findSeeds(digest: Digest, signal: AbortSignal): AsyncGenerator<PeerAddress> {
    const until = AbortSignal.any([signal, stopped.signal, AbortSignal.timeout(limits.dhtFindMs)])
    try {
      for await (const event of dht.findProviders(cidOf(digest), { signal: until })) {
        if (event.name === 'PROVIDER') yield* event.providers.map(addressOf)
      }
    } catch (error) {
      log.debug({ digest, reason: String(error) }, 'the look-up for seeds ended')
    }
  }

  return {
    provide,
    findSeeds,
    stop() {
      stopped.abort()
      clearTimeout(timer)
      waiting.clear()
    },
  }
}

function addressOf(info: PeerInfo): PeerAddress {
  const peer = info.id.toString()
  return { peer, addresses: targetsOf(peer, info.multiaddrs.map(String)).map(String) }
}
