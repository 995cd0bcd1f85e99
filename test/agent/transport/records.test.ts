import { Key } from 'interface-datastore'
import { expect, test } from 'vitest'
import { createRecords } from '../../../agent/transport/records.ts'
import { limits } from '../../../core/limits.ts'

const value = Uint8Array.of(1)

function names(kind: string, count: number): string[] {
  return Array.from({ length: count }, (_, at) => `/${kind}/${at}`)
}

test('of peers and of the DHT the records that were used longest ago are forgotten, each kind for itself', async () => {
  const records = createRecords()
  await records.put(new Key('/peers/self'), value)
  await records.put(new Key('/dht/provider/first'), value)
  for (const name of names('peers', limits.peerRecordsMax)) {
    await records.put(new Key(name), value)
    await records.get(new Key('/peers/self'))
  }
  expect(await records.has(new Key('/peers/self'))).toBe(true)
  expect(await records.has(new Key('/peers/0'))).toBe(false)
  expect(await records.has(new Key('/peers/1'))).toBe(true)
  expect(await records.has(new Key('/dht/provider/first'))).toBe(true)
  for (const name of names('dht/provider', limits.dhtRecordsMax)) await records.put(new Key(name), value)
  expect(await records.has(new Key('/dht/provider/first'))).toBe(false)
  expect(await records.has(new Key('/dht/provider/0'))).toBe(true)
  expect(await records.has(new Key('/peers/1'))).toBe(true)
})

test('what is deleted makes room', async () => {
  const records = createRecords()
  for (let at = 0; at < limits.dhtRecordsMax; at++) await records.put(new Key(`/dht/${at}`), value)
  await records.delete(new Key('/dht/5'))
  await records.put(new Key('/dht/new'), value)
  expect(await records.has(new Key('/dht/0'))).toBe(true)
})

test('a record that is too long is refused', () => {
  const records = createRecords()
  const key = new Key('/dht/1')
  expect(() => records.put(key, new Uint8Array(limits.recordMaxBytes))).toThrow(RangeError)
  expect(records.has(key)).toBe(false)
})
