/** One announcer and the directories of its hosts: what these know of it when calls fail and hosts come and go. */
import { describe, expect, it } from 'vitest'
import { createDirectoryClient } from '../../../core/directory/client.ts'
import type { DirectoryClient } from '../../../core/directory/client.ts'
import type { Directory } from '../../../core/directory/directory.ts'
import type { AnnounceItem } from '../../../core/directory/messages.ts'
import { limits } from '../../../core/limits.ts'
import type { Digest } from '../../../core/oci/digest.ts'
import type { PeerId } from '../../../core/ports.ts'
import { seededRandom } from '../../support/seeded-random.ts'
import { virtualClock } from '../../support/virtual-clock.ts'
import { addressOf, createHost, digestOf, having, itemOf } from './world.ts'

const digest = digestOf(1)
const whole = itemOf({ have: { complete: true }, wants: false })
const part = itemOf({ ...having(100, [50]), wants: false })

interface Pair {
  /** `owner` and `standby`, unless ranked otherwise; each may be a new process. */
  readonly hosts: Map<PeerId, Directory>
  readonly down: Set<PeerId>
  /** Calls to these are not answered. */
  readonly hangs: Set<PeerId>
  /** The next call to this host is answered when what this gives is called. */
  delay(host: PeerId): () => void
  readonly client: DirectoryClient
  /** The members in this order, as hosts of any digest. */
  rank(...members: readonly PeerId[]): void
  hold(item: AnnounceItem): void
  leave(of: Digest): void
  /** A new process of this host, of which the announcer hears. */
  restart(host: PeerId): void
  pass(seconds: number): void
  /** How often it was called. */
  calls(host: PeerId): number
  /** Does the host name the announcer as a holder? */
  knows(host: PeerId, of?: Digest): boolean
}

function createPair(): Pair {
  const clock = virtualClock(1000)
  const items = new Map<Digest, AnnounceItem>()
  const names = ['owner', 'standby', 'newcomer', 'other']
  let ranked = ['owner', 'standby']
  const create = (self: PeerId): Directory => createHost({ self, clock, hosts: () => ranked })
  const hosts = new Map(names.map((name) => [name, create(name)]))
  const down = new Set<PeerId>()
  const hangs = new Set<PeerId>()
  const called: PeerId[] = []
  const delayed = new Map<PeerId, (() => void)[]>()
  const client = createDirectoryClient({
    clock,
    random: seededRandom('client'),
    from: () => addressOf('self'),
    state: (of) => items.get(of),
    hosts: () => ranked,
    nearest: () => [],
    membersCount: () => 3,
    heardMs: () => Number.NEGATIVE_INFINITY,
    suspect() {},
    emit(output) {
      if (output.type !== 'call') return
      called.push(output.to)
      const late = delayed.get(output.to)
      if (late?.length === 0) {
        late.push(() => client.answered(output.id, hosts.get(output.to)!.announce(output.request)))
        return
      }
      if (hangs.has(output.to)) return
      if (down.has(output.to)) client.failed(output.id)
      else client.answered(output.id, hosts.get(output.to)!.announce(output.request))
    },
  })
  return {
    hosts,
    down,
    hangs,
    delay(host) {
      const late: (() => void)[] = []
      delayed.set(host, late)
      return () => late.forEach((answer) => answer())
    },
    client,
    rank(...members) {
      ranked = [...members]
      client.membersChanged()
    },
    hold(item) {
      items.set(item.digest, item)
      client.announce(item.digest, false)
    },
    leave(of) {
      items.set(of, itemOf({ digest: of, wants: false, leaves: true }))
      client.announce(of, true)
    },
    restart(host) {
      hosts.set(host, create(host))
      client.memberCame(host)
      client.membersChanged()
    },
    pass(seconds) {
      for (let passed = 0; passed < seconds * 200; passed++) {
        clock.advance(5)
        if (passed % 100 === 0) for (const host of hosts.values()) host.tick()
        client.tick()
      }
    },
    calls: (host) => called.filter((one) => one === host).length,
    knows: (host, of = digest) =>
      hosts.get(host)!.locate({ from: 'asker', digest: of, origin: 'registry.example', except: [] }).size !== undefined,
  }
}

/** The hosts have heard of what it holds. */
function holding(item = whole): Pair {
  const pair = createPair()
  pair.hold(item)
  pair.pass(3)
  return pair
}

describe('a host that restarts before anybody misses it', () => {
  it.each([
    ['a whole blob', whole],
    ['a part of one', part],
  ])('hears within seconds of %s that is at rest', (_what, item) => {
    const pair = holding(item)
    pair.restart('owner')
    expect(pair.knows('owner')).toBe(false)
    pair.pass(2)
    expect(pair.knows('owner')).toBe(true)
  })

  it.each([1, 2])(
    'and was told all before the news of it came forgets nothing, whatever is said next (digest %d)',
    (next) => {
      const pair = holding()
      pair.client.memberCame('owner')
      pair.client.membersChanged()
      pair.hold({ ...whole, digest: digestOf(next) })
      const known = Array.from({ length: 130 }, () => {
        pair.pass(1)
        return pair.knows('owner')
      })
      expect(new Set(known)).toEqual(new Set([true]))
    },
  )
})

/** The owner was told of `item`, which went while it was out of order. */
function leftWhileDown(item: AnnounceItem = whole): Pair {
  const pair = holding(item)
  pair.down.add('owner')
  pair.leave(digest)
  return pair
}

describe('what is left while a host does not answer', () => {
  it.each([whole, part])('is forgotten by it within seconds, though there is nothing else to say to it', (item) => {
    const pair = leftWhileDown(item)
    const before = pair.calls('owner')
    pair.pass(4)
    expect([pair.knows('owner'), pair.knows('standby'), pair.calls('owner') - before]).toEqual([true, false, 2])
    pair.down.delete('owner')
    pair.pass(3)
    expect(pair.knows('owner')).toBe(false)
  })

  it('is forgotten by it, however much that is', () => {
    const pair = createPair()
    const digests = Array.from({ length: 3 * limits.announceItemsMax }, (_, number) => digestOf(number))
    for (const of of digests) pair.hold({ ...whole, digest: of })
    pair.pass(5)
    expect(digests.filter((of) => !pair.knows('owner', of))).toEqual([])
    pair.down.add('owner')
    for (const of of digests) pair.leave(of)
    pair.pass(3)
    pair.down.delete('owner')
    pair.pass(5)
    expect(digests.filter((of) => pair.knows('owner', of))).toEqual([])
  })

  it('is not said of what is held again by then', () => {
    const pair = leftWhileDown()
    pair.pass(1)
    pair.down.delete('owner')
    pair.hold(whole)
    const known = Array.from({ length: 100 }, () => {
      pair.pass(0.1)
      return pair.knows('owner')
    })
    expect(new Set(known)).toEqual(new Set([true]))
  })

  it('is said anew to a host that came anew before it answered, and once', () => {
    const pair = createPair()
    const told: number[] = []
    pair.hold(whole)
    pair.pass(3)
    const owner = pair.hosts.get('owner')!
    pair.hosts.set('owner', {
      ...owner,
      announce(request) {
        told.push(request.items.filter(({ leaves }) => leaves === true).length)
        return owner.announce(request)
      },
    })
    pair.hangs.add('owner')
    pair.leave(digest)
    pair.pass(0.5)
    pair.hangs.delete('owner')
    pair.client.memberCame('owner')
    pair.client.membersChanged()
    pair.pass(20)
    expect(told).toEqual([1])
  })

  it('is said to who was its host before others came, and to nobody else', () => {
    const pair = holding()
    pair.rank('newcomer', 'owner', 'standby', 'other')
    pair.pass(3)
    pair.leave(digest)
    pair.pass(1)
    pair.rank('owner', 'standby')
    expect(['owner', 'standby'].map((host) => pair.knows(host))).toEqual([false, false])
    expect(pair.calls('other')).toBe(0)
  })

  it('is said to who was its host before others came, though that answers an earlier call meanwhile', () => {
    const pair = holding()
    pair.rank('newcomer', 'other', 'owner', 'standby')
    pair.pass(3)
    pair.rank('owner')
    const answer = pair.delay('owner')
    pair.hold({ ...part, digest: digestOf(2) })
    pair.pass(0.2)
    pair.rank('newcomer', 'other', 'owner', 'standby')
    pair.leave(digest)
    pair.pass(0.2)
    answer()
    pair.pass(3)
    pair.rank('owner', 'standby')
    expect(pair.knows('owner')).toBe(false)
  })

  it('is not said to who was its host for longer than that remembers', () => {
    const pair = holding()
    const before = pair.calls('standby')
    pair.rank('newcomer', 'owner', 'standby')
    pair.pass(200)
    pair.leave(digest)
    pair.pass(1)
    expect(pair.calls('standby')).toBe(before)
  })

  it('is not said for longer than it would be remembered', () => {
    const pair = leftWhileDown()
    pair.pass(200)
    expect(pair.client.nextMs()).toBe(Infinity)
  })
})
