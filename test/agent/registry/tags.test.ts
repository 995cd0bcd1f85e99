import { expect, test } from 'vitest'
import { createTags } from '../../../agent/registry/tags.ts'
import { anonymous, createCredential } from '../../../agent/upstream/credential.ts'
import { limits } from '../../../core/limits.ts'
import { digestOf, repository } from '../../support/registry-content.ts'
import { createMemoryOrigin } from '../../support/memory-origin.ts'
import { virtualClock } from '../../support/virtual-clock.ts'

const at = { origin: 'registry.example.com', repository: 'team/app' }
const never = new AbortController().signal

function world() {
  const clock = virtualClock()
  const origin = createMemoryOrigin({ [at.origin]: { [at.repository]: repository('{}', []) } })
  return { clock, origin, tags: createTags({ origin, clock }) }
}

test('what the origin was asked of a tag resolves it, for three seconds', async () => {
  const { clock, origin, tags } = world()
  const asked = await tags.ask(at, 'v1', anonymous, never)
  expect(await tags.resolve(at, 'v1', anonymous, never)).toEqual(asked)
  expect(origin.calls).toHaveLength(1)
  clock.advance(limits.tagTtlMs)
  await tags.resolve(at, 'v1', anonymous, never)
  expect(origin.calls).toHaveLength(2)
})

test('it resolves nothing for another credential, and asking asks each time', async () => {
  const { origin, tags } = world()
  await tags.ask(at, 'v1', anonymous, never)
  await tags.ask(at, digestOf(Buffer.from('{}')), anonymous, never)
  await tags.resolve(at, 'v1', createCredential('Basic dTpw', new Uint8Array(32))!, never)
  await tags.ask(at, 'v1', anonymous, never)
  expect(origin.calls.map(({ reference }) => reference)).toEqual(['v1', digestOf(Buffer.from('{}')), 'v1', 'v1'])
})
