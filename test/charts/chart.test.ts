/** The chart under genuine Helm: each set of values in ci/ is linted and rendered, and what comes out is what Kubernetes takes. */
import { readdirSync } from 'node:fs'
import path from 'node:path'
import { describe, expect, test } from 'vitest'
import { chartDirectory, describeHelms, type Helm } from '../support/helm/helm.ts'
import { kubernetesVersions, openSchemas } from '../support/kubernetes/schemas.ts'

const variants = readdirSync(path.join(chartDirectory, 'ci')).map((file) => file.replace('-values.yaml', ''))
const valuesOf = (variant: string): string[] => ['--values', path.join(chartDirectory, 'ci', `${variant}-values.yaml`)]

await describeHelms(describeChart)

function describeChart(helm: Helm): void {
  test.each(variants)('%s values lint', async (variant) => {
    expect(await helm.run('lint', '--strict', chartDirectory, ...valuesOf(variant))).toContain('0 chart(s) failed')
  })

  describe.each(kubernetesVersions)('for Kubernetes %s', (version) => {
    test.each(variants)('%s values render to what it takes', async (variant) => {
      const faultsOf = openSchemas(version)
      const objects = await helm.template(...valuesOf(variant), '--kube-version', version)
      const faults = Object.entries(objects).flatMap(([name, object]) =>
        faultsOf(object).map((fault) => `${name}${fault}`),
      )
      expect(faults).toEqual([])
    })
  })
}

describe.each(kubernetesVersions)('the schemas of Kubernetes %s', (version) => {
  const faultsOf = openSchemas(version)
  const configMap = { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: 'a' } }

  test('take what is right', () => expect(faultsOf(configMap)).toEqual([]))

  test.each([
    ['an unknown key', { dada: {} }, 'dada'],
    ['a value of the wrong type', { data: { replicas: 3 } }, '/data/replicas: must be string'],
  ])('find %s', (_what, slip, fault) => {
    expect(faultsOf({ ...configMap, ...slip })).toEqual([expect.stringContaining(fault)])
  })

  test('know nothing of other kinds', () => expect(() => faultsOf({ ...configMap, kind: 'Gadget' })).toThrow('Gadget'))
})
