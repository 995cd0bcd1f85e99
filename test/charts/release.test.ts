/** A release from its installation to its end, by genuine Helm on an API in memory: what is looked up, kept, and run when. */
import { expect, onTestFinished, test } from 'vitest'
import { chartDirectory, describeHelms, type Helm } from '../support/helm/helm.ts'
import { type MemoryApi, startMemoryApi } from '../support/kubernetes/memory-api.ts'

await describeHelms(describeRelease)

function describeRelease(helm: Helm): void {
  test('the secret is drawn at the first installation and stays what it is at each upgrade', async () => {
    const api = await startCluster()
    await install(helm, api)
    const drawn = secretIn(api)
    expect(Buffer.from(drawn ?? '', 'base64')).toHaveLength(32)
    await upgrade(helm, api, '--set', 'image.tag=v2')
    expect(secretIn(api)).toBe(drawn)
  })

  test('the DNS servers of the cluster are found', async () => {
    const api = await startCluster()
    await install(helm, api)
    expect(api.objects.get(`${inNamespace}/configmaps/shoal-agent`)).toMatchObject({
      data: { 'config.yaml': expect.stringContaining('seedsDnsServers:\n- 10.96.0.10\n- fd00::a\n') },
    })
    expect(api.objects.get(agents)).toMatchObject({ spec: { template: { spec: { dnsPolicy: 'Default' } } } })
  })

  test('an upgrade to another image pulls it on every node first; one of options alone does not', async () => {
    const api = await startCluster()
    await install(helm, api)
    api.changes.length = 0
    await upgrade(helm, api, '--set', 'agent.config.logLevel=debug')
    expect(api.changes).toEqual([])
    await upgrade(helm, api, '--set', 'image.tag=v2')
    const events = api.changes.filter((change) => /(DaemonSet|Pod)/.test(change))
    expect(events.slice(0, 2)).toEqual(['+ DaemonSet/shoal-prepull', '+ Pod/shoal-prepull'])
    expect(leftOf(api)).toEqual([])
  })

  test('an uninstallation removes the agents, then has every node put back, and leaves nothing', async () => {
    const api = await startCluster()
    await install(helm, api)
    api.changes.length = 0
    await helm.run('uninstall', 'shoal', ...onto(api))
    const at = (change: string) => api.changes.indexOf(change)
    expect(at('- DaemonSet/shoal-agent')).toBeGreaterThanOrEqual(0)
    expect(at('+ Role/shoal-cleanup')).toBeGreaterThan(at('- DaemonSet/shoal-agent'))
    expect(at('+ DaemonSet/shoal-cleanup')).toBeGreaterThan(at('+ ResourceQuota/shoal-cleanup'))
    expect(at('+ Pod/shoal-cleanup')).toBeGreaterThan(at('+ DaemonSet/shoal-cleanup'))
    expect(at('- DaemonSet/shoal-cleanup')).toBeGreaterThan(at('+ Pod/shoal-cleanup'))
    expect([...api.objects.keys()].filter((key) => key.includes('shoal-'))).toEqual([])
  })

  test('helm test waits for a pod that succeeds', async () => {
    const api = await startCluster()
    await install(helm, api)
    expect(await helm.run('test', 'shoal', ...onto(api))).toMatch(/Phase: +Succeeded/)
  })
}

const inNamespace = '/api/v1/namespaces/infra'
const agents = '/apis/apps/v1/namespaces/infra/daemonsets/shoal-agent'
const onto = ({ url }: MemoryApi) => ['--kube-apiserver', url, '--namespace', 'infra']

const install = (helm: Helm, api: MemoryApi, ...args: string[]) => release(helm, api, 'install', args)
const upgrade = (helm: Helm, api: MemoryApi, ...args: string[]) => release(helm, api, 'upgrade', args)

function release(helm: Helm, api: MemoryApi, command: string, args: readonly string[]): Promise<string> {
  return helm.run(command, 'shoal', chartDirectory, ...onto(api), ...args)
}

async function startCluster(): Promise<MemoryApi> {
  const api = await startMemoryApi('1.37')
  onTestFinished(() => api.close())
  api.put('/api/v1/namespaces', { kind: 'Namespace', metadata: { name: 'infra' } })
  const dns = { name: 'kube-dns', labels: { 'k8s-app': 'kube-dns' } }
  api.put('/api/v1/namespaces/kube-system/services', {
    kind: 'Service',
    apiVersion: 'v1',
    metadata: dns,
    spec: { clusterIPs: ['10.96.0.10', 'fd00::a'] },
  })
  api.put('/api/v1/namespaces/kube-system/services', {
    kind: 'Service',
    apiVersion: 'v1',
    metadata: { name: 'other' },
    spec: { clusterIPs: ['10.96.0.11'] },
  })
  return api
}

function secretIn(api: MemoryApi): string | undefined {
  const secret = api.objects.get(`${inNamespace}/secrets/shoal-cluster`) as
    | { data?: Record<string, string> }
    | undefined
  return secret?.data?.['cluster-secret']
}

/** What hooks have left behind. */
function leftOf(api: MemoryApi): string[] {
  return [...api.objects.keys()].filter((key) => key.endsWith('shoal-prepull'))
}
