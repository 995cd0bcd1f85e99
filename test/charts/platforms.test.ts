/** The values for each platform: the chart takes them, and its pods have the directories of such nodes. */
import path from 'node:path'
import { expect, test } from 'vitest'
import { contentDirectoryOf, platforms } from '../../cli/platforms.ts'
import { chartDirectory, describeHelms } from '../support/helm/helm.ts'

await describeHelms((helm) => {
  test.each(platforms)('$key', async (platform) => {
    const values = ['--values', path.join(chartDirectory, 'platforms', `${platform.key}.yaml`)]
    expect(await helm.run('lint', '--strict', chartDirectory, ...values)).toContain('0 chart(s) failed')
    const objects = Object.values(await helm.template(...values))
    const pods = JSON.stringify(objects.find(({ kind }) => kind === 'DaemonSet'))
    const directories = [...pods.matchAll(/"hostPath":\{"path":"([^"]+)"/g)].map(([, directory]) => directory)
    const { configFile, registryConfigPath } = platform
    const ofTheChart = '/var/lib/shoal'
    expect(new Set(directories)).toEqual(
      new Set([
        ofTheChart,
        contentDirectoryOf(platform),
        ...(registryConfigPath === undefined ? [] : [registryConfigPath, path.dirname(configFile)]),
      ]),
    )
  })
})
