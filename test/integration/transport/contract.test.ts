import { describe } from 'vitest'
import { transportContract } from '../../contracts/transport.ts'
import { createLoopbackTransport } from '../../support/libp2p-transport.ts'

describe('the transport of an agent', () => {
  transportContract((clock) => createLoopbackTransport(undefined, clock))
})
