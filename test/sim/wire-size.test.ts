import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { AnnounceAnswer, AnnounceRequest, PeerAddress } from '../../core/directory/messages.ts'
import { encodeChunkHead } from '../../core/wire/bulk-messages.ts'
import { createHandles } from '../../core/wire/handles.ts'
import { createPeerMessageEncoder } from '../../core/wire/peer-messages.ts'
import { announceCall } from '../../agent/cluster/wire.ts'
import { entry, peerMessage } from '../core/wire/arbitraries.ts'
import { digestOf, sizeOf } from '../core/directory/world.ts'
import { announceBytes, chunkHeadBytes, headersBytes, messageBytes } from './wire-size.ts'

/** What an agent 40 neighbours away from its first chunk says and hears. */
function announceWith(address: PeerAddress): [AnnounceRequest, AnnounceAnswer] {
  const digest = digestOf(1)
  const size = sizeOf(400)
  const have = { complete: false, bits: new Uint8Array(50) } as const
  const peers = Array.from({ length: 40 }, () => ({ ...address, complete: false }))
  return [
    { from: address, items: [{ digest, size, have, wants: true, fetching: [], origin: 'registry.example' }] },
    { items: [{ digest, size, peers, counts: new Uint8Array(400), announceAfterMs: 500 }] },
  ]
}

describe('the weight of messages', () => {
  it('is that of the control stream', () => {
    fc.assert(
      fc.property(fc.array(peerMessage), (messages) => {
        const handles = createHandles()
        const encode = createPeerMessageEncoder()
        const said = messages.flatMap((message) => [message, message])
        expect(said.map((message) => messageBytes(message, handles))).toEqual(
          said.map((message) => encode(message).length),
        )
      }),
    )
  })

  it('is that of heads on the bulk stream', () => {
    fc.assert(
      fc.property(fc.nat(), fc.nat(2 ** 22 - 1), entry, (id, offset, its) => {
        const head = { type: 'chunk', id, offset, entry: its } as const
        expect(chunkHeadBytes(head)).toBe(encodeChunkHead(head).length)
      }),
    )
  })

  it('is within a twentieth that of an announce between real names', () => {
    const [request, answer] = announceWith({
      peer: `12D3KooW${'A'.repeat(44)}`,
      addresses: ['/ip4/10.0.123.45/tcp/5051'],
    })
    const real = announceCall.writeRequest(request).length + announceCall.writeAnswer(answer).length
    const told = announceBytes(...announceWith({ peer: 'n1234', addresses: ['/sim/n1234'] }))
    expect(Math.abs(told - headersBytes - real)).toBeLessThan(real / 20)
  })
})
