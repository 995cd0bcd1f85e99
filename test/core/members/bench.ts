/** A bench for one members machine: it stands alone, and the test answers by hand what it puts out. */
import { createMembers } from '../../../core/members/members.ts'
import type { Members, MembersOutput } from '../../../core/members/members.ts'
import type { ExchangeAnswer, ExchangeRequest, MemberRecord } from '../../../core/members/messages.ts'
import type { Random } from '../../../core/ports.ts'
import { seededRandom } from '../../support/seeded-random.ts'
import { virtualClock } from '../../support/virtual-clock.ts'
import type { VirtualClock } from '../../support/virtual-clock.ts'
import { recordOf } from './world.ts'

const hour = 60 * 60 * 1000

/** One machine alone, whose outputs the test answers by hand. */
export interface Bench {
  readonly clock: VirtualClock
  readonly members: Members
  taken(): MembersOutput[]
}

export function createBench(random: Random = seededRandom('bench')): Bench {
  const clock = virtualClock(hour)
  const outputs: MembersOutput[] = []
  const emit = (output: MembersOutput): void => void outputs.push(output)
  const members = createMembers({ clock, random, emit }, { self: recordOf('self') })
  return { clock, members, taken: () => outputs.splice(0) }
}

/** All chance waits as long as it may. */
export const longest: Random = { ...seededRandom('longest'), below: (limit) => limit - 1 }

export type Exchange = Extract<MembersOutput, { type: 'exchange' }>

export function exchangesOf(bench: Bench): Exchange[] {
  return bench.taken().filter((output) => output.type === 'exchange')
}

/** What was said outside of rounds, which compare lists. */
export function pushesOf(bench: Bench): Exchange[] {
  return exchangesOf(bench).filter(({ request }) => !request.compare)
}

/** Calls a member, and gives the call. */
export function callTo(bench: Bench, peer: string): Exchange {
  bench.taken()
  bench.members.suspect(peer)
  return exchangesOf(bench)[0]!
}

export function answerFrom(bench: Bench, peer: string, change: Partial<ExchangeAnswer> = {}): ExchangeAnswer {
  return { from: recordOf(peer), hash: bench.members.hash(), news: [], ...change }
}

/** The moments of the time to come, in milliseconds from now, at which it asks a seed, and which. */
export function seedsAsked(bench: Bench, ms: number): [number, string][] {
  const startMs = bench.clock.now()
  const asked: [number, string][] = []
  bench.taken()
  while (bench.members.nextMs() <= startMs + ms) {
    bench.clock.set(bench.members.nextMs())
    bench.members.tick()
    for (const { cluster, peer } of exchangesOf(bench))
      if (peer === undefined) asked.push([bench.clock.now() - startMs, cluster])
  }
  bench.clock.set(startMs + ms)
  return asked
}

/** Passes time as an agent that is not held up: it is ticked when it asks for it. */
export function pass(bench: Bench, ms: number): void {
  const untilMs = bench.clock.now() + ms
  while (bench.members.nextMs() <= untilMs) {
    bench.clock.set(bench.members.nextMs())
    bench.members.tick()
  }
  bench.clock.set(untilMs)
}

export function tell(
  bench: Bench,
  from: string,
  ...news: ReturnType<typeof recordOf>[]
): ReturnType<Members['handle']> {
  return bench.members.handle({ ...requestFrom(from), news })
}

export function requestFrom(from: string): ExchangeRequest {
  return { from: recordOf(from), hash: 'other', news: [], accusations: [], vouched: [], compare: false, want: [] }
}

/** Passes time in which these members, and no others, call and answer, and gives what was put out. */
export function talk(bench: Bench, ms: number, records: readonly MemberRecord[]): MembersOutput[] {
  const all: MembersOutput[] = []
  for (let passed = 0; passed < ms; passed += 100) {
    for (const from of records) bench.members.handle({ ...requestFrom(from.peer), from })
    const outputs = bench.taken()
    all.push(...outputs)
    for (const output of outputs) {
      const from = records.find(({ peer }) => output.type === 'exchange' && output.peer === peer)
      if (output.type === 'exchange' && from !== undefined)
        bench.members.exchanged(output.id, { from, hash: bench.members.hash(), news: [] })
    }
    pass(bench, 100)
  }
  return all
}

export function callsTo(outputs: readonly MembersOutput[], peer: string | undefined): Exchange[] {
  return outputs.filter((output) => output.type === 'exchange').filter((call) => call.peer === peer)
}

/** Has agreed with `a`, a seed and member, and knows `others`, of which none has been heard. */
export function agreedBench(others: readonly string[]): Bench {
  const bench = createBench(longest)
  bench.members.setSeeds(['a:5052'])
  tell(bench, 'a', ...others.map((peer) => recordOf(peer)))
  bench.members.exchanged(callTo(bench, 'a').id, answerFrom(bench, 'a'))
  return bench
}

/** Accusations that were put out, as who was told of whom. */
export function accusationsIn(outputs: readonly MembersOutput[]): [string | undefined, string][] {
  return outputs
    .filter((output) => output.type === 'exchange')
    .flatMap(({ peer, request }) =>
      request.accusations.map((accusation): [string | undefined, string] => [peer, accusation.peer]),
    )
}

/** What else was put out than exchanges. */
export function eventsIn(outputs: readonly MembersOutput[]): MembersOutput[] {
  return outputs.filter(({ type }) => type !== 'exchange')
}

/** Knows these members, who have all just spoken, and has no news left to push. */
export function benchOf(...peers: string[]): Bench {
  const bench = createBench()
  const records = peers.map((peer) => recordOf(peer))
  for (const { peer } of records) tell(bench, peer)
  talk(bench, 1000, records)
  for (const { peer } of records) tell(bench, peer)
  bench.taken()
  return bench
}
