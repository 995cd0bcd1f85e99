/** What the table of platforms says of paths is what their configurations say. */
import { readFile } from 'node:fs/promises'
import path from 'node:path'
import { parse } from 'smol-toml'
import { describe, expect, test } from 'vitest'
import { containerdOptions } from '../../agent/doctor/containerd-config.ts'
import { type Platform, platforms, type ShippedContainerd } from '../../cli/platforms.ts'

const shipped = platforms.flatMap((platform) =>
  platform.containerds.flatMap((one) => (one.fixture === 'default' ? [] : [{ platform, ...one }])),
)

async function optionsWith({ imports = {} }: Platform, fixture: string, series: ShippedContainerd['series']) {
  const names = [fixture, ...Object.values(imports)]
  const texts = names.map((name) =>
    readFile(path.join(import.meta.dirname, `../support/platforms/${name}.toml`), 'utf8'),
  )
  const tables = (await Promise.all(texts)).map((text) => parse(text))
  return containerdOptions(tables, series === '2' ? '2.1.0' : `${series}.0`)
}

describe.each(shipped)('$fixture', ({ platform, fixture, series, isMirrored }) => {
  test('has the directory that Shoal writes to first, or none', async () => {
    const { configPath } = await optionsWith(platform, fixture, series)
    expect(configPath?.split(':')[0]).toBe(isMirrored ? platform.registryConfigPath : undefined)
  })

  test('is one that doctor finds to ask the mirror, or not', async () => {
    const { configPath, pullsLocally } = await optionsWith(platform, fixture, series)
    const isRead = configPath !== undefined && (series !== '2' || pullsLocally || !configPath.includes(':'))
    expect(isRead).toBe(isMirrored)
  })
})
