import { expect, test } from 'vitest'
import { createRangeNotes } from '../../../agent/doctor/ranges.ts'
import { anonymous } from '../../../agent/upstream/credential.ts'
import type { RangeWanted } from '../../../agent/upstream/origin-client.ts'
import { digestFromHex } from '../../../core/oci/digest.ts'
import { createMemoryOrigin } from '../../support/memory-origin.ts'

const wanted = (end: number): RangeWanted => ({
  kind: 'blob',
  origin: 'registry.test',
  repository: 'a',
  digest: digestFromHex('0'.repeat(64)),
  start: 0,
  end,
  size: 10,
})

test('a registry counts as sending no parts from a whole answer to a part on, until it sends one', async () => {
  let ranged = false
  const origin = {
    ...createMemoryOrigin({}),
    site: (text: string) => ({ origin: text }),
    fetchRange: async () => ({ ranged, start: 0, total: 10, body: (async function* () {})() }),
  }
  const notes = createRangeNotes(origin)
  const ask = (end: number) => notes.origin.fetchRange(wanted(end), anonymous, new AbortController().signal)
  await ask(10)
  expect(notes.unranged()).toEqual([])
  await ask(5)
  expect(notes.unranged()).toEqual(['registry.test'])
  ranged = true
  await ask(5)
  expect(notes.unranged()).toEqual([])
})
