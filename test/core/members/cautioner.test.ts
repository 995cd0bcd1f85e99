import { describe, expect, it } from 'vitest'
import { limits } from '../../../core/limits.ts'
import { type Cautioner, cautionedWithinMs, createCautioner } from '../../../core/members/cautioner.ts'
import type { PeerId } from '../../../core/ports.ts'
import { minute, second } from '../../../core/units.ts'
import { seededRandom } from '../../support/seeded-random.ts'
import { virtualClock } from '../../support/virtual-clock.ts'

interface Bench {
  readonly cautioner: Cautioner
  readonly calls: { readonly member: PeerId; readonly atMs: number }[]
  members: PeerId[]
  hasCautions: boolean
  /** Members that do not answer. */
  readonly silent: Set<PeerId>
  pass(ms: number): void
}

function createBench(count: number): Bench {
  const clock = virtualClock()
  const bench: Bench = {
    cautioner: createCautioner({
      clock,
      random: seededRandom('cautioner'),
      self: 'self',
      hasCautions: () => bench.hasCautions,
      members: () => bench.members,
      tell(member) {
        bench.calls.push({ member, atMs: clock.now() })
        bench.cautioner.told(member, !bench.silent.has(member))
      },
    }),
    calls: [],
    members: ['self', ...Array.from({ length: count }, (_, number) => `member ${number}`)],
    hasCautions: true,
    silent: new Set(),
    pass(ms) {
      const endMs = clock.now() + ms
      while (bench.cautioner.nextMs() < endMs) {
        clock.advance(Math.max(0, bench.cautioner.nextMs() - clock.now()))
        bench.cautioner.tick()
      }
      clock.advance(endMs - clock.now())
    },
  }
  return bench
}

const toldBy = ({ calls }: Bench): PeerId[] => calls.map(({ member }) => member)

describe('of whom this agent cautions', () => {
  it('every other member hears once, at once where they are few', () => {
    const bench = createBench(20)
    bench.cautioner.caution()
    bench.pass(cautionedWithinMs(20))
    expect(toldBy(bench).toSorted()).toEqual(bench.members.filter((member) => member !== 'self').toSorted())
    bench.pass(1 * minute)
    expect(bench.calls).toHaveLength(20)
  })

  it('ten thousand hear at a pace that leaves them and this agent their cores', () => {
    const bench = createBench(10_000)
    bench.cautioner.caution()
    bench.pass(cautionedWithinMs(10_001))
    expect(bench.calls).toHaveLength(10_000)
    const bySecond = Map.groupBy(bench.calls, ({ atMs }) => Math.floor(atMs / second))
    expect(Math.max(...[...bySecond.values()].map(({ length }) => length))).toBeLessThan(300)
  })

  it('is told in turn, each once, from another member on each time', () => {
    const bench = createBench(20)
    const others = bench.members.slice(1)
    const firsts = Array.from({ length: 20 }, () => {
      bench.calls.length = 0
      bench.cautioner.caution()
      bench.pass(cautionedWithinMs(21))
      const first = others.indexOf(toldBy(bench)[0]!)
      expect(toldBy(bench)).toEqual([...others.slice(first), ...others.slice(0, first)])
      return first
    })
    expect(new Set(firsts).size).toBeGreaterThan(5)
  })

  it('is told by an agent that is alone to nobody', () => {
    const bench = createBench(0)
    bench.cautioner.caution()
    expect(bench.cautioner.nextMs()).toBe(Infinity)
  })

  it('who gives no answer hears again after a while, though others are told meanwhile', () => {
    const bench = createBench(2)
    bench.silent.add('member 0')
    bench.cautioner.memberCame('member 0')
    bench.pass(cautionedWithinMs(3))
    const [{ atMs } = { atMs: -1 }] = bench.calls
    bench.calls.length = 0
    bench.pass(limits.cautionAgainMs - cautionedWithinMs(3))
    expect(bench.calls).toEqual([])
    bench.pass(cautionedWithinMs(3))
    expect(bench.calls).toEqual([{ member: 'member 0', atMs: atMs + limits.cautionAgainMs }])
  })

  it('who gives no answer hears again, as long as it is a member', () => {
    const bench = createBench(2)
    bench.silent.add('member 0').add('member 1')
    bench.cautioner.caution()
    bench.pass(1 * second)
    bench.members = ['self', 'member 0']
    bench.pass(limits.cautionAgainMs)
    bench.silent.clear()
    bench.calls.length = 0
    bench.pass(1 * minute)
    expect(toldBy(bench)).toEqual(['member 0'])
  })

  it('a member that comes hears of it, and of nothing where there is nothing', () => {
    const bench = createBench(2)
    bench.cautioner.memberCame('member 0')
    bench.pass(1 * second)
    expect(toldBy(bench)).toEqual(['member 0'])
    bench.hasCautions = false
    bench.cautioner.memberCame('member 1')
    bench.pass(1 * minute)
    expect(bench.calls).toHaveLength(1)
    expect(bench.cautioner.nextMs()).toBe(Infinity)
  })

  it('nobody hears where there is nothing to tell any more', () => {
    const bench = createBench(2)
    bench.cautioner.caution()
    bench.hasCautions = false
    bench.pass(1 * minute)
    expect(bench.calls).toEqual([])
    expect(bench.cautioner.nextMs()).toBe(Infinity)
  })
})
