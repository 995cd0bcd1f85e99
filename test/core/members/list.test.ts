import { describe, expect, it } from 'vitest'
import { limits } from '../../../core/limits.ts'
import { createMemberList } from '../../../core/members/list.ts'
import type { MemberList } from '../../../core/members/list.ts'
import type { MemberRecord } from '../../../core/members/messages.ts'
import type { PeerId, Random } from '../../../core/ports.ts'
import { seededRandom } from '../../support/seeded-random.ts'
import { recordOf } from './world.ts'

const zoneOf = (number: number): string => `zone ${number % 3}`

function listOf(...records: MemberRecord[]): MemberList {
  const list = createMemberList()
  for (const record of records) list.put(record, 1000)
  return list
}

it('has as nearest members mostly those of one zone, and always some of others', () => {
  const list = createMemberList()
  for (let number = 0; number < 300; number++) list.put(recordOf(`p${number}`, { zone: zoneOf(number) }), 0)
  const near = list.nearest('p0', limits.neighboursAim).map(({ zone }) => zone === zoneOf(0))
  const nearFirst = limits.neighboursAim * limits.nearShare
  expect(near.slice(0, nearFirst)).not.toContain(false)
  expect(near.slice(nearFirst)).toContain(false)
})

it('keeps who departed apart, and forgets it after ten minutes', () => {
  const list = listOf(recordOf('a'), recordOf('b'), recordOf('b', { state: 'dead' }))
  expect([list.live(), list.departed()]).toEqual([['a'], ['b']])
  list.forgetDeparted(1000 + limits.departedKeptMs)
  expect(list.get('b')).toEqual(recordOf('b', { state: 'dead' }))
  list.forgetDeparted(1001 + limits.departedKeptMs)
  expect([list.get('b'), list.live(), list.departed()]).toEqual([undefined, ['a'], []])
})

describe('the hash of a list', () => {
  it('is of the live members, whoever has departed or been forgotten', () => {
    const alone = listOf(recordOf('a'))
    const list = listOf(recordOf('a'), recordOf('b'), recordOf('b', { state: 'left' }))
    expect([list.hash(), list.bucketHashes()]).toEqual([alone.hash(), alone.bucketHashes()])
    list.forgetDeparted(1001 + limits.departedKeptMs)
    expect([list.hash(), list.bucketHashes()]).toEqual([alone.hash(), alone.bucketHashes()])
  })

  it('is another for each thing that a record says', () => {
    const records = [
      recordOf('a'),
      recordOf('a', { addresses: [] }),
      recordOf('a', { cluster: 'b:5052' }),
      recordOf('a', { incarnation: 2 }),
      recordOf('a', { life: 2 }),
      recordOf('a', { zone: 'z' }),
      recordOf('a', { region: 'z' }),
    ]
    expect(new Set(records.map((record) => listOf(record).hash())).size).toBe(records.length)
  })

  it('is the same in each version, since agents of two run side by side in a rollout', () => {
    expect(listOf(recordOf('a'), recordOf('b', { zone: 'z', region: 'r' })).hash()).toBe('cBxQx_Ri9asYDvRzm7wJOL')
  })
})

describe('the records of buckets', () => {
  const list = listOf(recordOf('a'))
  const bucket = list.bucketHashes().findIndex((hash) => hash !== 0)

  it('are those of whoever lives and of whoever departed', () => {
    const departed = recordOf('a', { state: 'dead' })
    expect(list.inBuckets([bucket])).toEqual([recordOf('a')])
    expect(list.inBuckets([bucket + 1])).toEqual([])
    expect(listOf(departed).inBuckets([bucket])).toEqual([departed])
  })

  it('are a message full, however many are asked for', () => {
    const wanted = Array.from({ length: limits.membersPerMessage + 1 }, () => bucket)
    expect(list.inBuckets(wanted)).toHaveLength(limits.membersPerMessage)
  })
})

describe('a member that is picked', () => {
  const list = listOf(...['a', 'b', 'c', 'd'].map((peer) => recordOf(peer)))
  const third: Random = { ...seededRandom('third'), below: () => 2 }

  it.each<[string, PeerId[], PeerId | undefined]>([
    ['the one drawn', ['a', 'b', 'c', 'd'], 'c'],
    ['the next that is admitted', ['a', 'b'], 'a'],
    ['nobody where none is', [], undefined],
  ])('is %s', (_, admitted, picked) => {
    expect(list.pick(third, (peer) => admitted.includes(peer))).toBe(picked)
  })

  it('is nobody of a list in which nobody lives', () => {
    expect(listOf(recordOf('a', { state: 'left' })).pick(seededRandom('nobody'), () => true)).toBeUndefined()
  })
})

it('puts all members on one ring', () => {
  const peers = Array.from({ length: 20 }, (_, number) => `p${number}`)
  const list = listOf(...peers.map((peer) => recordOf(peer)))
  const ring = ['p0']
  for (let step = 0; step < peers.length; step++) ring.push(list.successor(ring.at(-1)!, () => true)!)
  expect(ring.at(-1)).toBe('p0')
  expect(ring.slice(1).toSorted()).toEqual(peers.toSorted())
  expect(list.successor('p0', (peer) => peer !== ring[1])).toBe(ring[2])
})
