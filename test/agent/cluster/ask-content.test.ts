import { expect, it } from 'vitest'
import {
  askContent,
  type AskContentComponents,
  askSize,
  type ContentAnswer,
} from '../../../agent/cluster/ask-content.ts'
import { createBoundedMap } from '../../../core/bounded-map.ts'
import type { LocateAnswer, LocateRequest } from '../../../core/directory/messages.ts'
import { limits } from '../../../core/limits.ts'
import type { PeerId } from '../../../core/ports.ts'
import { digestOf } from '../../support/registry-content.ts'
import { virtualClock } from '../../support/virtual-clock.ts'

const bytes = Buffer.from('a manifest')
const digest = digestOf(bytes)
const content: ContentAnswer = { kind: 'content', bytes }

interface Cast {
  readonly hosts: Readonly<Record<PeerId, (request: LocateRequest) => LocateAnswer>>
  readonly peers?: Readonly<Record<PeerId, () => ContentAnswer>>
  /** How long those take whose core is busy. */
  readonly slowMs?: Readonly<Record<PeerId, number>>
  /** How much later this process, on a busy core, comes to read each answer. */
  readonly heldUpMs?: number
}

/** Whoever is not in the cast does not answer, which takes the time that a call may take. */
function createWorld({ hosts, peers = {}, slowMs = {}, heldUpMs = 0 }: Cast) {
  const clock = virtualClock()
  const asked: PeerId[] = []
  const { signal } = new AbortController()
  async function call<Answer>(
    whom: PeerId,
    answer: (() => Answer) | undefined,
    withinMs: number = limits.relayCallMs,
  ): Promise<Answer> {
    asked.push(whom)
    const takesMs = answer === undefined ? Infinity : (slowMs[whom] ?? 1)
    clock.advance(Math.min(takesMs, withinMs) + heldUpMs)
    if (answer === undefined || takesMs > withinMs) throw new Error('silent')
    return answer()
  }
  const components: AskContentComponents = {
    self: 'self',
    clock,
    sleep: async (ms) => clock.advance(ms),
    resting: createBoundedMap(limits.relaysRestingMax),
    hosts: () => ['owner', 'standby', 'third'],
    locate: (host, request) => {
      const answer = hosts[host]
      return call(host, answer && (() => answer(request)))
    },
    read: (peer, _request, withinMs) => call(peer, peers[peer], withinMs),
  }
  return {
    asked,
    clock,
    ask: () => askContent(components, digest, 'docker.io', signal),
    askSize: () => askSize(components, digest, 'docker.io'),
  }
}

/** A host that names these peers in order, then nobody. */
function naming(...peers: readonly PeerId[]): (request: LocateRequest) => LocateAnswer {
  return ({ except }) => {
    const relay = peers.find((peer) => !except.includes(peer))
    return relay === undefined ? {} : { relay }
  }
}

it('asks the peer that the owner names', async () => {
  const world = createWorld({ hosts: { owner: naming('a') }, peers: { a: () => content } })
  expect(await world.ask()).toEqual(content)
  expect(world.asked).toEqual(['owner', 'a'])
})

it('asks the standby when the owner is silent, and follows a host that names another, once', async () => {
  const world = createWorld({
    hosts: { standby: () => ({ ask: 'elsewhere' }), elsewhere: naming('a') },
    peers: { a: () => content },
  })
  expect(await world.ask()).toEqual(content)
  expect(world.asked).toEqual(['owner', 'standby', 'elsewhere', 'a'])
})

it('asks again while who is named names another in turn, instead of the origin with all others', async () => {
  const answers: LocateAnswer[] = [{ ask: 'third' }, { relay: 'a' }]
  const world = createWorld({
    hosts: { owner: () => ({ ask: 'elsewhere' }), elsewhere: () => answers.shift() ?? {} },
    peers: { a: () => content },
  })
  expect(await world.ask()).toEqual(content)
  expect(world.asked).toEqual(['owner', 'elsewhere', 'owner', 'elsewhere', 'a'])
})

it('is told to fetch what nobody has', async () => {
  expect(await createWorld({ hosts: { owner: () => ({}) } }).ask()).toEqual({ kind: 'fetch' })
})

it('passes over one that hangs for a second, and waits for the next, which is slow, with the time that is left', async () => {
  const peers = { slow: () => content, 'slow as well': () => content, quick: () => content }
  const slowMs = { slow: limits.relayCallMs + 1, 'slow as well': limits.relayPatienceMs - limits.relayCallMs - 10 }
  const world = createWorld({ hosts: { owner: naming('slow', 'slow as well', 'quick') }, peers, slowMs })
  expect(await world.ask()).toEqual(content)
  expect(world.asked.filter((whom) => whom !== 'owner')).toEqual(['slow', 'slow as well'])
  const hung = createWorld({ hosts: { owner: naming('hung', 'hung as well') } })
  expect(await hung.ask()).toEqual({ kind: 'fetch' })
  expect(hung.clock.now()).toBe(limits.relayPatienceMs)
})

it('passes over peers that are silent, have nothing, or give something else', async () => {
  const world = createWorld({
    hosts: { owner: naming('silent', 'empty', 'liar', 'a') },
    peers: {
      empty: () => ({ kind: 'none' }),
      liar: () => ({ kind: 'content', bytes: Buffer.from('another') }),
      a: () => content,
    },
  })
  expect(await world.ask()).toEqual(content)
  expect(world.asked.filter((whom) => whom !== 'owner')).toEqual(['silent', 'empty', 'liar', 'a'])
  await world.ask()
  expect(world.asked.filter((whom) => whom !== 'owner').slice(4)).toEqual(['silent', 'empty', 'a'])
})

it('fetches once it has asked as many in vain as it may', async () => {
  const names = Array.from({ length: limits.relaysTriedMax + 1 }, (_, number) => `empty ${number}`)
  const peers = Object.fromEntries(names.map((name) => [name, (): ContentAnswer => ({ kind: 'none' })]))
  const world = createWorld({ hosts: { owner: naming(...names) }, peers })
  expect(await world.ask()).toEqual({ kind: 'fetch' })
  expect(world.asked.filter((whom) => whom !== 'owner')).toEqual(names.slice(0, limits.relaysTriedMax))
})

it('waits for a peer that is getting it, but not for ever', async () => {
  let left = 3
  const soon = createWorld({
    hosts: { owner: naming('a') },
    peers: { a: () => (left-- > 0 ? { kind: 'coming' } : content) },
  })
  expect(await soon.ask()).toEqual(content)
  const never = createWorld({ hosts: { owner: naming('a') }, peers: { a: () => ({ kind: 'coming' }) } })
  expect(await never.ask()).toEqual({ kind: 'fetch' })
  expect(never.clock.now()).toBeLessThanOrEqual(limits.relayPatienceMs + limits.relayAgainMs)
})

it('asks one that promises at once and for ever no more than now and then, and passes it over for a while', async () => {
  const world = createWorld({ hosts: { owner: naming('liar') }, peers: { liar: () => ({ kind: 'coming' }) } })
  await world.ask()
  const asked = world.asked.filter((whom) => whom === 'liar').length
  expect(asked).toBeLessThanOrEqual(limits.relayPatienceMs / limits.relayAgainMs)
  expect(await world.ask()).toEqual({ kind: 'fetch' })
  expect(world.asked.filter((whom) => whom === 'liar')).toHaveLength(asked)
  world.clock.advance(limits.relayRestMs)
  await world.ask()
  expect(world.asked.filter((whom) => whom === 'liar')).toHaveLength(2 * asked)
})

it('has as much patience where it is held up itself', async () => {
  const answers: ContentAnswer[] = [{ kind: 'coming' }, content]
  const world = createWorld({
    hosts: { owner: naming('hung', 'a') },
    peers: { a: () => answers.shift()! },
    heldUpMs: limits.relayCallMs,
  })
  expect(await world.ask()).toEqual(content)
  expect(world.asked).toEqual(['owner', 'hung', 'owner', 'a', 'a'])
  expect(world.clock.now()).toBeGreaterThan(limits.relayPatienceMs)
})

it('takes nobody for a liar whom it had no time left to ask', async () => {
  let silences = 2
  const world = createWorld({
    hosts: {
      standby(request) {
        if (silences-- <= 0) return naming('a')(request)
        world.clock.advance(limits.relayCallMs)
        throw new Error('silent')
      },
    },
    peers: { a: () => content },
  })
  expect(await world.ask()).toEqual({ kind: 'fetch' })
  expect(world.asked).not.toContain('a')
  expect(await world.ask()).toEqual(content)
})

it('asks again where the host is not ready', async () => {
  let left = 2
  const world = createWorld({
    hosts: { owner: () => (left-- > 0 ? { againMs: limits.relayAgainMs } : { relay: 'a' }) },
    peers: { a: () => content },
  })
  expect(await world.ask()).toEqual(content)
})

it('fetches nothing while nobody may, nor while no host answers', async () => {
  expect(await createWorld({ hosts: { owner: () => ({ againMs: 60_000 }) } }).ask()).toEqual({ kind: 'held-back' })
  const silent = createWorld({ hosts: {} })
  expect(await silent.ask()).toEqual({ kind: 'held-back' })
  expect(silent.clock.now()).toBeLessThanOrEqual(limits.relayPatienceMs + 2 * limits.relayCallMs)
})

it('knows a size where the directory does', async () => {
  expect(await createWorld({ hosts: { owner: () => ({ size: 7 }) } }).askSize()).toBe(7)
  expect(await createWorld({ hosts: { owner: () => ({}) } }).askSize()).toBeUndefined()
})

it('asks a host that has it wait for no time at all no oftener than others', async () => {
  const world = createWorld({ hosts: { owner: () => ({ againMs: 0 }) } })
  expect(await world.ask()).toEqual({ kind: 'held-back' })
  expect(world.asked.length).toBeLessThanOrEqual(limits.relayPatienceMs / limits.relayAgainMs)
})
