import { describe } from 'vitest'
import { createIdentity } from '../../agent/identity/identity.ts'
import { createMemoryNetwork } from '../support/memory-transport.ts'
import { transportContract } from './transport.ts'

describe('the transport of tests', () => {
  let network: ReturnType<typeof createMemoryNetwork> | undefined
  transportContract(async (clock) => (network ??= createMemoryNetwork(clock)).create(createIdentity().peer))
})
