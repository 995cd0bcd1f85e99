/** The list of packages that goes into the image is that of package-lock.json. */
import { expect, test } from 'vitest'
import { cycloneDx } from '../../image/sbom.ts'
import { readText, root } from '../repository/sources.ts'

interface Locked {
  readonly version: string
  readonly integrity?: string
  readonly dev?: boolean
  readonly name?: string
}

/** As an SBOM names it: version and SHA-512. */
function lockedProduction(): string[] {
  const { packages } = JSON.parse(readText('package-lock.json')) as { packages: Record<string, Locked> }
  return Object.entries(packages)
    .filter(([where, { dev }]) => where !== '' && dev !== true)
    .map(([where, { name, version, integrity = '' }]) => {
      const hash = Buffer.from(integrity.replace('sha512-', ''), 'base64').toString('hex')
      return `${name ?? where.split('node_modules/').at(-1)}@${version} ${hash}`
    })
}

test('names each package that is not for development alone, with its version and hash, and no other', async () => {
  const { components } = JSON.parse(await cycloneDx(root, 0)) as {
    components: { name: string; version: string; hashes: { alg: string; content: string }[] }[]
  }
  const named = components.map(({ name, version, hashes }) => `${name}@${version} ${hashes[0]?.content}`)
  expect(new Set(named)).toEqual(new Set(lockedProduction()))
  expect(components.every(({ hashes }) => hashes.every(({ alg }) => alg === 'SHA-512'))).toBe(true)
})

test('is the same text each time, with the time that it is given', async () => {
  const text = await cycloneDx(root, 1_700_000_000)
  expect(await cycloneDx(root, 1_700_000_000)).toBe(text)
  expect(JSON.parse(text)).toMatchObject({
    bomFormat: 'CycloneDX',
    metadata: { timestamp: '2023-11-14T22:13:20.000Z', component: { name: 'shoal', purl: 'pkg:npm/shoal@0.1.0' } },
  })
})
