/** What the agent says to paste, on a node where `shoal configure` has run. */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import { parseConfig } from '../../../agent/config.ts'
import { gatherSelf } from '../../../agent/doctor/gather.ts'
import { configure } from '../../../cli/configure/configure.ts'
import { configureSchema } from '../../../cli/configure/configure-options.ts'

const inside = { upMs: 0, askedAgoMs: undefined, certificateFailure: undefined, resting: [], unranged: [] }

test('the agent says to configure the node as it was configured last', async () => {
  const directory = await mkdtemp(path.join(tmpdir(), 'shoal-gather-'))
  onTestFinished(() => rm(directory, { recursive: true }))
  const places = {
    containerdRegistryConfigPath: path.join(directory, 'certs.d'),
    dataDir: path.join(directory, 'data'),
  }
  const config = parseConfig({ ...places, standalone: true })
  const flags = async (): Promise<string> => {
    const { settings } = await gatherSelf(config, { inside, others: [], containerdVersion: undefined })
    return settings.flags
  }
  const shared = `--containerd-registry-config-path ${directory}/certs.d --data-dir ${directory}/data --mirror-listen 127.0.0.1:5050`
  expect(await flags()).toBe(shared)
  await configure(configureSchema.parse({ ...places, mirroredRegistries: ['a.b', 'c.d'], resolveTags: false }))
  expect(await flags()).toBe(`${shared} --mirrored-registries a.b,c.d --resolve-tags false`)
  await configure(configureSchema.parse(places))
  expect(await flags()).toBe(shared)
})
