import { describe } from 'vitest'
import { createIdentity } from '../../agent/identity/identity.ts'
import { createNotary } from '../../agent/identity/notary.ts'
import { createMemoryNotary } from '../support/memory-notary.ts'
import { notaryContract } from './notary.ts'

describe('the notary of an agent', () => {
  notaryContract(() => createNotary(createIdentity()))
})

describe('the notary of tests', () => {
  let names = 0
  notaryContract(() => createMemoryNotary(`peer-${names++}`))
})
