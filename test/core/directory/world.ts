/** A directory host on virtual time, with announces made short. */
import { createDirectory } from '../../../core/directory/directory.ts'
import type { Directory } from '../../../core/directory/directory.ts'
import type { AnnounceItem, AnswerItem, TimedAnswer } from '../../../core/directory/messages.ts'
import { createOwners } from '../../../core/directory/owners.ts'
import type { Owners } from '../../../core/directory/owners.ts'
import { digestFromHex } from '../../../core/oci/digest.ts'
import type { Digest } from '../../../core/oci/digest.ts'
import type { PeerId } from '../../../core/ports.ts'
import { bitfieldOf, setBit } from '../../../core/swarm/bitfield.ts'
import { chunkCountOf } from '../../../core/swarm/chunks.ts'
import { limits } from '../../../core/limits.ts'
import { seededRandom } from '../../support/seeded-random.ts'
import { virtualClock } from '../../support/virtual-clock.ts'
import type { VirtualClock } from '../../support/virtual-clock.ts'

export function digestOf(number: number): Digest {
  return digestFromHex(number.toString(16).padStart(64, '0'))
}

/** The size of a blob of `chunks` chunks (up to `limits.chunksPerBlobAim`). */
export function sizeOf(chunks: number): number {
  return chunks * limits.chunkSizeMinBytes
}

/** A bitfield with these chunks. */
export function bitsOf(chunks: number, indices: Iterable<number> = []): Uint8Array {
  const bits = bitfieldOf(chunks)
  for (const index of indices) setBit(bits, index)
  return bits
}

/** `[start, end)` as numbers. */
export function span(start: number, end: number): number[] {
  return Array.from({ length: end - start }, (_, offset) => start + offset)
}

/** What a leech of a blob of 100 chunks says that has nothing; `change` says otherwise. */
export function itemOf(change: Partial<AnnounceItem> = {}): AnnounceItem {
  const size = change.size ?? sizeOf(100)
  return {
    digest: digestOf(1),
    size,
    have: { complete: false, bits: bitsOf(chunkCountOf(size)) },
    wants: true,
    fetching: [],
    ...change,
  }
}

export function having(chunks: number, indices: Iterable<number>): Pick<AnnounceItem, 'have'> {
  return { have: { complete: false, bits: bitsOf(chunks, indices) } }
}

export interface World {
  readonly clock: VirtualClock
  readonly owners: Owners
  readonly directory: Directory
  readonly suspects: PeerId[]
  arrivingMs: number
  ready: boolean
  /** Announces one item and gives the answer to it. */
  say(peer: PeerId, change?: Partial<AnnounceItem>): AnswerItem
  /** Announces one item and gives when to do so again. */
  sayAgainMs(peer: PeerId, change?: Partial<AnnounceItem>): number
}

/** The host is `host`, alone among the members unless the test adds some. */
export function createWorld(options: { directory?: Parameters<typeof createDirectory>[1] } = {}): World {
  const clock = virtualClock(10_000)
  const owners = createOwners({ self: 'host', clock })
  owners.add('host')
  const suspects: PeerId[] = []
  const directory = createDirectory(
    {
      self: 'host',
      clock,
      random: seededRandom('directory'),
      ownersOf: (digest) => owners.of(digest),
      learningMs: (digest) => owners.learningMs(digest),
      catchingUpMs: (digest) => owners.catchingUpMs(digest),
      arrivingMs: () => world.arrivingMs,
      ready: () => world.ready,
      suspect: (peer) => void suspects.push(peer),
    },
    options.directory,
  )
  const announce = (peer: PeerId, change: Partial<AnnounceItem> = {}): TimedAnswer => {
    const [answer] = directory.announce({ from: addressOf(peer), items: [itemOf(change)] }).items
    if (answer === undefined) throw new Error('an item without an answer')
    return answer
  }
  const world: World = {
    clock,
    owners,
    directory,
    suspects,
    arrivingMs: 0,
    ready: true,
    say(peer, change) {
      const { announceAfterMs: _after, ...answer } = announce(peer, change)
      return answer
    },
    sayAgainMs: (peer, change) => announce(peer, change).announceAfterMs,
  }
  return world
}

/** A directory among these hosts, which has nothing to learn. */
export function createHost({
  self,
  clock,
  hosts,
}: {
  readonly self: PeerId
  readonly clock: VirtualClock
  readonly hosts: () => readonly PeerId[]
}): Directory {
  return createDirectory({
    self,
    clock,
    random: seededRandom(self),
    ownersOf: hosts,
    learningMs: () => 0,
    catchingUpMs: () => 0,
    arrivingMs: () => 0,
    ready: () => true,
    suspect() {},
  })
}

export function addressOf(peer: PeerId): { peer: PeerId; addresses: string[] } {
  return { peer, addresses: [`/ip4/127.0.0.1/tcp/4001/p2p/${peer}`] }
}

/** The first `digestOf` number whose owner, or standby (`place` 1), is `peer`. */
export function digestHostedBy(owners: Owners, peer: PeerId, place = 0, from = 1): Digest {
  return digestWhere(from, (digest) => owners.of(digest)[place] === peer)
}

/** The first `digestOf` number that `peer` neither hosts nor would host. */
export function digestNotHostedBy(owners: Owners, peer: PeerId): Digest {
  return digestWhere(1, (digest) => !owners.of(digest).includes(peer))
}

function digestWhere(from: number, test: (digest: Digest) => boolean): Digest {
  for (let number = from; number < from + 10_000; number++) if (test(digestOf(number))) return digestOf(number)
  throw new Error('no such digest')
}
