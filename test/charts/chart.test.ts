/** The chart under genuine Helm: each set of values in ci/ is linted and rendered, and what comes out is what Kubernetes takes. */
import path from 'node:path'
import { describe, expect, test } from 'vitest'
import { parseSecret } from '../../agent/cluster-secret.ts'
import { chartDirectory, describeHelms, type Helm, valuesFile, variants } from '../support/helm/helm.ts'
import { kubernetesVersions, openSchemas } from '../support/kubernetes/schemas.ts'

const newest = ['--kube-version', kubernetesVersions.at(-1) ?? ''] as const

await describeHelms(describeChart)

function describeChart(helm: Helm): void {
  describe.each(variants)('%s values', (variant) => {
    const values = ['--values', valuesFile(variant)]

    test('lint', async () => {
      expect(await helm.run('lint', '--strict', chartDirectory, ...values)).toContain('0 chart(s) failed')
    })

    test.each(kubernetesVersions)('render to what Kubernetes %s takes', async (version) => {
      const faultsOf = openSchemas(version)
      const objects = Object.entries(await helm.template(...values, '--kube-version', version))
      expect(objects.flatMap(([name, object]) => faultsOf(object).map((fault) => `${name}${fault}`))).toEqual([])
    })

    test('render to the same as ever', async () => {
      const text = await helm.render(...values, ...newest)
      await expect(comparable(text)).toMatchFileSnapshot(path.join(import.meta.dirname, 'golden', `${variant}.yaml`))
    })
  })

  test.each([
    ['agent.config.storeMaxByte=1GiB', 'storeMaxByte'],
    ['agent.config.storeMaxBytes=1PB', 'storeMaxBytes'],
    ['agent.config.origins[0].caFile=x', 'caFile'],
    ['agent.config.dataDirOwner=0', 'dataDirOwner'],
    ['agent.resource.limits.memory=1Gi', 'resource'],
    ['clusterSecret.existing=x', 'existing'],
    ['image.pullPolicy=Sometimes', 'pullPolicy'],
    ['pools.gpu.config.zone=a', 'nodeSelector'],
    ['pools.gpu.configs.zone=a', 'configs'],
    ['pools.Gpu.nodeSelector.a=b', 'Gpu'],
    ['service.ipFamilies[0]=IPv5', 'ipFamilies'],
    ['trackers.enabled=true', 'trackers'],
  ])('refuses --set %s, and names it', async (slip, named) => {
    await expect(helm.render('--set', slip)).rejects.toThrow(new RegExp(`schema[^]*${named}`))
  })

  test.each([
    ['agent.config.shutdownTimeoutMs=30s', 'must be more than agent.config.shutdownTimeoutMs, which is 30000 ms'],
    ['agent.config.opsListen=127.0.0.1:9053,serviceMonitor.enabled=true', 'does not reach agent.config.opsListen'],
  ])('refuses --set %s: the two contradict each other', async (values, fault) => {
    await expect(helm.render('--set', values)).rejects.toThrow(fault)
  })

  test('draws a secret of 32 bytes, another each time', async () => {
    const texts = [await helm.run('template', 'a', chartDirectory), await helm.run('template', 'a', chartDirectory)]
    const [one = '', other] = texts.map((text) => /cluster-secret: (\S+)$/m.exec(text)?.[1] ?? '')
    expect(parseSecret(Buffer.from(one, 'base64'), 'file')).toHaveLength(32)
    expect(one).not.toBe(other)
  })

  test('gives the data directory to a user with a number of seven digits and more, as those of OpenShift', async () => {
    const text = await helm.render('--set', 'agent.securityContext.runAsUser=1000650000')
    expect(text.match(/--data-dir-owner=.*/g)).toEqual(['--data-dir-owner=1000650000'])
  })

  test.each([
    ['"20m"', '20m'],
    ['1200000', '1200000'],
  ])('hooks wait for as long as cleanup.timeout: %s', async (timeout, said) => {
    const text = await helm.render('--set-json', `cleanup.timeout=${timeout}`)
    expect(text).toContain(`--daemonset=shoal-system/shoal-cleanup\n        - --timeout=${said}\n`)
  })

  test('a quota admits the priority class of each pool', async () => {
    const pools = 'pools.a.nodeSelector.x=y,pools.a.priorityClassName=system-cluster-critical,pools.b.nodeSelector.x=z'
    const objects = await helm.template('--set', `resourceQuota.enabled=true,${pools}`)
    const values = ['system-node-critical', 'system-cluster-critical']
    const matchExpressions = [{ scopeName: 'PriorityClass', operator: 'In', values }]
    for (const name of ['shoal-agent', 'shoal-cleanup'])
      expect(objects[`ResourceQuota/${name}`]).toMatchObject({ spec: { scopeSelector: { matchExpressions } } })
  })

  test('null takes an option away from a pool too', async () => {
    const pools = { a: { nodeSelector: { x: 'y' }, config: { containerdContentDir: null, prefetchLayers: 0 } } }
    const objects = await helm.template('--set-json', `pools=${JSON.stringify(pools)}`)
    const [options, daemonSet] = [objects['ConfigMap/shoal-agent-a'], objects['DaemonSet/shoal-agent-a']]
    expect(JSON.stringify(options)).toContain('prefetchLayers: 0')
    expect(JSON.stringify([options, daemonSet])).not.toMatch(/containerdContentDir|io\.containerd\.content/)
  })

  test('takes whatever a parent chart has under global', async () => {
    await expect(helm.render('--set', 'global.image.registry=x')).resolves.toContain('kind: DaemonSet')
  })
}

// Helm 3 asks a cluster before it says what it would do.
await describeHelms(describeNotes, ['4'])

function describeNotes(helm: Helm): void {
  test('an installation ends with what to do next', async () => {
    const pools = 'clusterDns.servers={10.96.0.10},pools.b.nodeSelector.x=y,pools.a.nodeSelector.x=z'
    const notes = await notesOf(helm, '--set', pools)
    expect(notes).toContain('on every node of the pools a, b.')
    expect(notes).not.toContain('clusterDns.servers')
    expect(notes.match(/^ {7}.*$/gm)).toEqual([
      '       kubectl --namespace infra rollout status daemonset --selector app.kubernetes.io/instance=shoal',
      '       helm test shoal --namespace infra',
      '       kubectl --namespace infra get events --field-selector reportingComponent=shoal/agent',
    ])
    expect(await notesOf(helm, '--set', `${pools},events.enabled=false`)).toContain(
      '       kubectl --namespace infra logs daemonset/shoal-agent-a --container agent',
    )
  })

  test('it names what the cluster or the values lack', async () => {
    const notes = await notesOf(helm)
    expect(notes).toContain('kubectl label namespace infra pod-security.kubernetes.io/enforce=privileged')
    expect(notes).toContain('clusterDns.servers=')
  })
}

async function notesOf(helm: Helm, ...args: string[]): Promise<string> {
  const said = await helm.run('install', 'shoal', chartDirectory, '-n', 'infra', '--dry-run=client', ...args)
  return said.slice(said.indexOf('NOTES:'))
}

/** Without what the releases of Helm write differently. */
function comparable(text: string): string {
  const documents = text.split(/^---\n/m).map((document) => document.replace(/^# Source: .*\n/, '').trim())
  return `${documents.filter((document) => document !== '').join('\n---\n')}\n`
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
