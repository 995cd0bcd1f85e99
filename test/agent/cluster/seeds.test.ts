import { afterEach, beforeEach, expect, it, vi } from 'vitest'
import { watchSeeds } from '../../../agent/cluster/seeds.ts'
import type { SeedLookup, SeedOptions } from '../../../agent/cluster/seeds.ts'
import { virtualClock } from '../../support/virtual-clock.ts'

const clock = virtualClock()
let found: readonly string[] | undefined
let told: (readonly string[])[] = []
let watch: SeedLookup | undefined

beforeEach(() => {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] })
  found = undefined
  told = []
})

afterEach(() => {
  watch?.stop()
  vi.useRealTimers()
})

async function resolve(): Promise<readonly string[]> {
  if (found === undefined) throw new Error('ENOTFOUND')
  return found
}

function start(options: SeedOptions): void {
  watch = watchSeeds({ clock, resolve }, options, (seeds) => void told.push(seeds))
}

async function pass(ms: number): Promise<void> {
  for (let passedMs = 0; passedMs < ms; passedMs += 500) {
    clock.advance(500)
    await vi.advanceTimersByTimeAsync(500)
  }
}

const seedsDns = { host: 'shoal.svc', port: 5052 }

it('tells listed seeds at once, in the order given', () => {
  start({
    seeds: [
      { host: '10.0.0.9', port: 1 },
      { host: 'fd00::1', port: 2 },
    ],
  })
  expect(told).toEqual([['10.0.0.9:1', '[fd00::1]:2']])
})

it('tells what a name gives, sorted, again only when it changes', async () => {
  found = ['10.0.0.9', '10.0.0.10']
  start({ seeds: [], seedsDns })
  await pass(500)
  expect(told).toEqual([['10.0.0.10:5052', '10.0.0.9:5052']])
  await pass(30_000)
  expect(told).toHaveLength(1)
  found = ['10.0.0.9']
  await pass(30_000)
  expect(told.slice(1)).toEqual([['10.0.0.9:5052']])
})

it('takes a name that gives nothing for ten seconds as no seed, and looks on', async () => {
  start({ seeds: [], seedsDns })
  await pass(9500)
  expect(told).toEqual([])
  await pass(2500)
  expect(told).toEqual([[]])
  found = ['10.0.0.9']
  await pass(2500)
  expect(told).toEqual([[], ['10.0.0.9:5052']])
})

it('takes a name that ceases to give anything as no seed after ten seconds, and not at the first look in vain', async () => {
  found = ['10.0.0.9']
  start({ seeds: [], seedsDns })
  await pass(500)
  found = undefined
  await pass(39_000)
  expect(told).toEqual([['10.0.0.9:5052']])
  await pass(2500)
  expect(told).toEqual([['10.0.0.9:5052'], []])
  found = ['10.0.0.9']
  await pass(2500)
  found = []
  await pass(39_000)
  expect(told.slice(2)).toEqual([['10.0.0.9:5052']])
})

it('tells listed seeds before the name gives anything, which is looked up until it does; its seeds come behind', async () => {
  start({ seeds: [{ host: 'a.b', port: 1 }], seedsDns })
  expect(told).toEqual([['a.b:1']])
  await pass(1500)
  found = ['10.0.0.9']
  await pass(1000)
  expect(told).toEqual([['a.b:1'], ['a.b:1', '10.0.0.9:5052']])
})

it('keeps what a name gave beside listed seeds, too, for ten seconds of looks in vain', async () => {
  found = ['10.0.0.9']
  start({ seeds: [{ host: 'a.b', port: 1 }], seedsDns })
  await pass(500)
  found = undefined
  await pass(39_000)
  expect(told).toEqual([['a.b:1'], ['a.b:1', '10.0.0.9:5052']])
  await pass(2500)
  expect(told.slice(2)).toEqual([['a.b:1']])
})

it('says nothing after it was stopped', async () => {
  start({ seeds: [], seedsDns })
  watch?.stop()
  found = ['10.0.0.9']
  await pass(30_000)
  expect(told).toEqual([])
})
