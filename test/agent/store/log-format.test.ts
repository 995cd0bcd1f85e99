import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import {
  encodeBody,
  encodeHeader,
  entryOf,
  frameBodies,
  readLog,
  tailOfHeader,
  type LogRecord,
} from '../../../agent/store/log-format.ts'
import { bitfieldOf, clearBit, setBit } from '../../../core/swarm/bitfield.ts'
import type { Entry } from '../../../core/swarm/entry.ts'
import { KiB } from '../../../core/units.ts'
import { contentFrom, flipped } from '../../support/content.ts'

const content = contentFrom('log', 500 * KiB)
const header = encodeHeader(content.digest, content.size)

function logOf(records: readonly LogRecord[]): { bytes: Buffer; ends: number[] } {
  let tail = tailOfHeader(header)
  const parts = [header]
  const ends = [tail.offset]
  for (const record of records) {
    const framed = frameBodies([encodeBody(record)], tail)
    parts.push(framed.bytes)
    tail = framed.tail
    ends.push(tail.offset)
  }
  return { bytes: Buffer.concat(parts), ends }
}

/** The simplest thing that could say what a log means. */
function modelOf(records: readonly LogRecord[]): { have: Uint8Array; complete: boolean; entries: Map<number, Entry> } {
  const have = bitfieldOf(content.chunks)
  const entries = new Map<number, Entry>()
  let complete = false
  for (const record of records) {
    if (record.kind === 'complete') complete = true
    if (record.kind === 'chunk') {
      setBit(have, record.entry.index)
      entries.set(record.entry.index, record.entry)
    }
    if (record.kind === 'dropped') {
      complete = false
      clearBit(have, record.index)
      entries.delete(record.index)
    }
  }
  return { have, complete, entries }
}

const chunk = (index: number): LogRecord => ({ kind: 'chunk', entry: content.entry(index) })
const all = [chunk(0), chunk(3), chunk(1), chunk(2), { kind: 'complete' }] as const satisfies LogRecord[]

interface Summary {
  readonly have: Uint8Array
  readonly complete: boolean
  readonly end: number
}

function summaryOf(bytes: Buffer): Summary | undefined {
  const view = readLog(bytes)
  return view && { have: view.have, complete: view.complete, end: view.tail.offset }
}

/** What is to be read when only the header and the first `whole` records of `all` are sound; -1: not even the header. */
function summaryOfFirst(whole: number, ends: readonly number[]): Summary | undefined {
  const end = ends[whole]
  return end === undefined ? undefined : { have: modelOf(all.slice(0, whole)).have, complete: false, end }
}

const entries: fc.Arbitrary<Entry> = fc.record({
  index: fc.nat(content.chunks - 1),
  hash: fc.uint8Array({ minLength: 32, maxLength: 32 }).map((bytes) => Buffer.from(bytes).toString('hex')),
  witness: fc.oneof(
    fc.record({ kind: fc.constant('fetched' as const), origin: fc.string({ unit: 'binary', maxLength: 80 }) }),
    fc.record({ kind: fc.constant('proved' as const) }),
  ),
  signer: fc.string({ maxLength: 60 }),
  signature: fc.uint8Array({ maxLength: 64 }),
})
const records: fc.Arbitrary<LogRecord> = fc.oneof(
  fc.record({ kind: fc.constant('chunk' as const), entry: entries }),
  fc.record({ kind: fc.constant('dropped' as const), index: fc.nat(content.chunks - 1) }),
)

describe('the log of a blob', () => {
  test('says what was written to it', () => {
    fc.assert(
      fc.property(fc.array(records, { maxLength: 20 }), (written) => {
        const { bytes } = logOf(written)
        const model = modelOf(written)
        const view = readLog(bytes)
        expect(view).toMatchObject({ digest: content.digest, size: content.size, complete: false, have: model.have })
        expect(view?.tail.offset).toBe(bytes.length)
        for (let index = 0; index < content.chunks; index++)
          expect(view && entryOf(view, index)).toEqual(model.entries.get(index))
      }),
    )
  })

  test('is complete until a chunk is dropped', () => {
    expect(readLog(logOf(all).bytes)?.complete).toBe(true)
    const after = readLog(logOf([...all, { kind: 'dropped', index: 2 }]).bytes)
    expect(after).toMatchObject({ complete: false, have: Uint8Array.of(0b1011) })
  })

  test('cut anywhere, means the records before the cut', () => {
    const { bytes, ends } = logOf(all)
    for (let length = 0; length < bytes.length; length++) {
      const whole = ends.filter((end) => end <= length).length - 1
      expect(summaryOf(bytes.subarray(0, length))).toEqual(summaryOfFirst(whole, ends))
    }
  })

  test('with any bit wrong, means the records before it, or nothing', () => {
    const { bytes, ends } = logOf(all)
    for (let at = 0; at < bytes.length; at++) {
      const whole = ends.filter((end) => end <= at).length - 1
      expect(summaryOf(flipped(bytes, at))).toEqual(summaryOfFirst(whole, ends))
    }
  })

  test('takes nothing for a record that an earlier, longer write left behind', () => {
    const old = logOf([chunk(0), chunk(1), chunk(2)])
    const current = logOf([chunk(3)]).bytes
    const mixed = Buffer.concat([current, old.bytes.subarray(current.length)])
    expect(readLog(mixed)).toMatchObject({ have: Uint8Array.of(0b1000), tail: { offset: current.length } })
  })

  test('of another version, or cut another way, is not ours', () => {
    expect(readLog(Buffer.concat([Buffer.from('shoal log 2\n'), header.subarray(12)]))).toBeUndefined()
    expect(readLog(Buffer.alloc(0))).toBeUndefined()
  })

  test('refuses an entry that it could not give back', () => {
    const entry = { ...content.entry(0), hash: 'AB' }
    expect(() => encodeBody({ kind: 'chunk', entry })).toThrow(RangeError)
    const long = { ...content.entry(0), signer: 'x'.repeat(5000) }
    expect(() => encodeBody({ kind: 'chunk', entry: long })).toThrow(RangeError)
  })
})
