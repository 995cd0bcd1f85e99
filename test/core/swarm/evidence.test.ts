import { describe, expect, it } from 'vitest'
import { limits } from '../../../core/limits.ts'
import { addOther, adoptEntries, entriesOf, withdrawEntry } from '../../../core/swarm/evidence.ts'
import type { Entry } from '../../../core/swarm/entry.ts'
import { createSession, markHeld } from '../../../core/swarm/session.ts'
import type { Session } from '../../../core/swarm/state.ts'
import { digest, entryOf, proved, sizeOf, span } from './bench.ts'

const size = sizeOf(2)

/** What this peer says of a chunk. */
const word = (signer: string, index = 0): Entry => entryOf(size, index, signer, proved)

function createEmpty(): Session {
  return createSession(digest, size, 0)
}

describe('of what is said of a chunk', () => {
  it('so much is remembered, however many say something', () => {
    const session = createEmpty()
    const words = span(0, limits.otherEntriesMax + 1).map((number) => word(`peer ${number}`))
    for (const entry of words) addOther(session, entry)
    expect(entriesOf(session, 0)).toEqual(words.slice(0, -1))
    expect(entriesOf(session, 1)).toEqual([])
  })

  it('the word under which it was kept goes before all others, once it is kept no more', () => {
    const session = createEmpty()
    const words = span(0, limits.otherEntriesMax).map((number) => word(`peer ${number}`))
    for (const entry of words) addOther(session, entry)
    session.accepted[0] = word('bringer')
    withdrawEntry(session, 0)
    expect(entriesOf(session, 0)).toEqual([word('bringer'), ...words.slice(0, -1)])
  })

  it('a new life knows the words under which it holds chunks, and those alone', () => {
    const session = createEmpty()
    markHeld(session, 1)
    adoptEntries(session, { type: 'entries', digest, entries: [word('a', 0), word('b', 1)] })
    expect(entriesOf(session, 0)).toEqual([])
    expect(entriesOf(session, 1)).toEqual([word('b', 1)])
  })
})
