/** What the chart's pods may do, and that what they run takes what they are given. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { describe, expect, onTestFinished, test } from 'vitest'
import { parse } from 'yaml'
import type { AgentConfig } from '../../agent/config.ts'
import { optionViews, readOptions } from '../../cli/agent-options.ts'
import { cleanupSchema, configureSchema } from '../../cli/configure/configure-options.ts'
import { runCommand } from '../../cli/program.ts'
import { describeHelms, type Helm, type KubernetesObject, valuesFile, variants } from '../support/helm/helm.ts'

interface Container {
  readonly name: string
  readonly args: readonly string[]
  readonly env?: readonly {
    readonly name: string
    readonly value?: string
    readonly valueFrom?: { readonly fieldRef: { readonly fieldPath: string } }
  }[]
  readonly securityContext: { readonly capabilities: { readonly add?: readonly string[] } }
}

interface PodSpec {
  readonly containers: readonly Container[]
  readonly initContainers?: readonly Container[]
  readonly dnsPolicy?: string
  readonly automountServiceAccountToken?: boolean
}

type Objects = Readonly<Record<string, KubernetesObject>>

await describeHelms(describePods, ['4'])

function describePods(helm: Helm): void {
  const render = (...args: string[]) => helm.template('--kube-version', '1.34', ...args)
  const renderVariant = (variant: string) => render('--values', valuesFile(variant))

  describe.each(variants)('with %s values', (variant) => {
    test('every container of Shoal is held as tightly as it can be', async () => {
      for (const { pod, container, from } of containersOf(await renderVariant(variant))) {
        // A container of the user's own.
        if (container.name === 'wait') continue
        expect(container, from).toMatchObject({
          securityContext: {
            allowPrivilegeEscalation: false,
            privileged: false,
            readOnlyRootFilesystem: true,
            capabilities: { drop: ['ALL'] },
          },
        })
        expect(pod, from).toMatchObject({ securityContext: { seccompProfile: { type: 'RuntimeDefault' } } })
        expect(container.securityContext.capabilities.add ?? [], from).toEqual(capabilitiesOf(container.name))
        expect(container.securityContext, from).toMatchObject(
          ['configure', 'cleanup', 'doctor'].includes(container.name) ? { runAsUser: 0 } : { runAsNonRoot: true },
        )
      }
    })

    test('no role lets anything be written but Events, and the taints of Nodes, where that is wanted, nor more be read', async () => {
      const objects = Object.entries(await renderVariant(variant))
      const rules = objects.flatMap(
        ([name, object]) => (object as { rules?: object[] }).rules?.map((rule) => [name, rule]) ?? [],
      )
      const isDaemonSet = {
        apiGroups: ['apps'],
        resources: ['daemonsets'],
        resourceNames: expect.any(Array),
        verbs: ['get'],
      }
      const rights = [
        ['ClusterRole/shoal-system-shoal-agent', { apiGroups: [''], resources: ['nodes'], verbs: ['get'] }],
        ['Role/shoal-agent', { apiGroups: ['events.k8s.io'], resources: ['events'], verbs: ['create', 'patch'] }],
        [expect.stringMatching(/^Role\/.*-(cleanup|prepull|test)$/), isDaemonSet],
        [
          'ClusterRole/shoal-system-shoal-startup-taint',
          { apiGroups: [''], resources: ['nodes'], verbs: ['get', 'patch'] },
        ],
        [
          'Role/shoal-startup-taint',
          { apiGroups: ['discovery.k8s.io'], resources: ['endpointslices'], verbs: ['list'] },
        ],
      ]
      for (const rule of rules) expect(rights).toContainEqual(rule)
    })

    test('each agent takes its config file, variables and arguments', async () => {
      const objects = await renderVariant(variant)
      const agents = containersOf(objects).filter(({ container }) => container.name === 'agent')
      expect(agents.length).toBeGreaterThan(0)
      for (const { container, from } of agents) {
        const config = await agentConfigOf(container, configOf(objects, from))
        expect(config.standalone).toBe(variant === 'standalone')
        expect(config.advertiseAddress).toBe('10.0.0.7')
      }
    })

    test('configure and cleanup take their arguments, and mean the directories that are mounted', async () => {
      const objects = await renderVariant(variant)
      for (const { container, from } of containersOf(objects)) {
        const schema = { configure: configureSchema, cleanup: cleanupSchema }[container.args?.[0] ?? '']
        if (schema === undefined) continue
        const file = container.name === 'configure' ? configOf(objects, from) : ''
        const options = await readOptions(schema, {
          flags: flagsOf(container, schema),
          env: {},
          readFile: async () => file,
        })
        expect(container, from).toMatchObject({
          volumeMounts: expect.arrayContaining([
            { name: 'data', mountPath: options.dataDir },
            { name: 'registries', mountPath: options.containerdRegistryConfigPath },
          ]),
        })
      }
    })
  })

  test('what was asked of the DNS servers of the cluster is asked of them only', async () => {
    const known = podOf(await render('--set', 'clusterDns.servers={10.96.0.10}'), 'DaemonSet/shoal-agent')
    expect(known.dnsPolicy).toBe('Default')
    // Without them the name of the seeds would have no address.
    expect(podOf(await render(), 'DaemonSet/shoal-agent').dnsPolicy).toBe('ClusterFirstWithHostNet')
  })

  describe('zone and region', () => {
    test('come from the labels of the pod where Kubernetes puts them there, and no account is needed', async () => {
      const { token, names } = await variablesOf(helm, '--kube-version', '1.35', '--set', 'events.enabled=false')
      expect({ token, names }).toEqual({ token: false, names: expect.arrayContaining(['SHOAL_ZONE', 'SHOAL_REGION']) })
      expect(names).not.toContain('SHOAL_NODE_NAME')
    })

    test('come from the Node where Kubernetes is older', async () => {
      const { token, names } = await variablesOf(helm, '--kube-version', '1.34')
      expect({ token, names }).toEqual({ token: true, names: expect.arrayContaining(['SHOAL_NODE_NAME']) })
      expect(names).not.toContain('SHOAL_ZONE')
    })

    test("are nobody's business where that is wanted", async () => {
      const { token, names } = await variablesOf(
        helm,
        '--kube-version',
        '1.34',
        '--set',
        'topology.readNode=false,events.enabled=false',
      )
      expect(token).toBe(false)
      expect(names.filter((name) => /ZONE|REGION|NODE/.test(name))).toEqual([])
    })

    test('that the values give go before', async () => {
      const set = 'agent.config.zone=a,agent.config.region=b'
      expect((await variablesOf(helm, '--kube-version', '1.35', '--set', set)).names).not.toContain('SHOAL_ZONE')
    })
  })

  test('an agent is told which pod it is, and has the token and the one right that its Events take', async () => {
    const objects = await render()
    const agent = podOf(objects, 'DaemonSet/shoal-agent')
    expect(agent.automountServiceAccountToken).toBe(true)
    const config = await agentConfigOf(agent.containers[0] as Container, configOf(objects, 'DaemonSet/shoal-agent'))
    expect(config.eventsPod).toEqual({ namespace: 'shoal-system', name: 'shoal-agent-x2x4k', uid: '0b6c2d4e' })
    expect(objects['RoleBinding/shoal-agent']).toMatchObject({
      roleRef: { kind: 'Role', name: 'shoal-agent' },
      subjects: [{ kind: 'ServiceAccount', name: 'shoal-agent', namespace: 'shoal-system' }],
    })
  })

  test('an agent on a node with IPv6 alone listens, and is told to others, there', async () => {
    const objects = await render()
    const name = 'DaemonSet/shoal-agent'
    const agents = podOf(objects, name).containers.map((agent) =>
      agentConfigOf(agent, configOf(objects, name), 'fd00::7'),
    )
    expect((await Promise.all(agents))[0]).toMatchObject({
      advertiseAddress: 'fd00::7',
      peersListen: { host: 'fd00::7', port: 5051 },
      clusterListen: { host: 'fd00::7', port: 5052 },
      bulkListen: { host: 'fd00::7', port: 5054 },
    })
  })

  test('containers have names of 63 characters at most, however long those of the release and the pool are', async () => {
    const objects = await render(
      '--set',
      `fullnameOverride=${'r'.repeat(63)},pools.${'p'.repeat(16)}.nodeSelector.x=y`,
      '--is-upgrade',
    )
    const names = containersOf(objects).map(({ container }) => container.name)
    expect(names).toContain(`${'r'.repeat(38)}-cleanup-${'p'.repeat(16)}`)
    expect(names.filter((name) => name.length > 63)).toEqual([])
  })

  test('a pool overrides what is false, zero or empty too', async () => {
    const pool = 'pools.a.nodeSelector.x=y,pools.a.configure=false,pools.a.config.prefetchLayers=0'
    const objects = await render('--set', pool)
    expect(podOf(objects, 'DaemonSet/shoal-agent-a').initContainers).toBeUndefined()
    expect(parse(configOf(objects, 'DaemonSet/shoal-agent-a'))).toMatchObject({ prefetchLayers: 0 })
  })
}

function capabilitiesOf(container: string): string[] {
  if (container === 'configure') return ['CHOWN', 'DAC_OVERRIDE']
  return ['cleanup', 'doctor'].includes(container) ? ['DAC_OVERRIDE'] : []
}

function containersOf(objects: Objects): { from: string; pod: PodSpec; container: Container }[] {
  return Object.keys(objects).flatMap((from) => {
    if (!/^(DaemonSet|Deployment|Pod)\//.test(from)) return []
    const pod = podOf(objects, from)
    return [...(pod.initContainers ?? []), ...pod.containers].map((container) => ({ from, pod, container }))
  })
}

function podOf(objects: Objects, name: string): PodSpec {
  const object = objects[name] as unknown as { spec: PodSpec & { template?: { spec: PodSpec } } }
  return object.spec.template?.spec ?? object.spec
}

async function variablesOf(helm: Helm, ...args: string[]): Promise<{ token: boolean | undefined; names: string[] }> {
  const pod = podOf(await helm.template(...args), 'DaemonSet/shoal-agent')
  const names = pod.containers.flatMap(({ env = [] }) => env.map(({ name }) => name))
  return { token: pod.automountServiceAccountToken, names }
}

/** The config file that goes with a DaemonSet. */
function configOf(objects: Objects, daemonSet: string): string {
  const map = objects[daemonSet.replace('DaemonSet', 'ConfigMap')] as unknown as { data: { 'config.yaml': string } }
  return map.data['config.yaml']
}

const podFields = {
  'metadata.namespace': 'shoal-system',
  'metadata.name': 'shoal-agent-x2x4k',
  'metadata.uid': '0b6c2d4e',
}

/** As kubelet would start it on a node of that address; the agent itself is not run. */
async function agentConfigOf(container: Container, file: string, address = '10.0.0.7'): Promise<AgentConfig> {
  const directory = await mkdtemp(path.join(tmpdir(), 'shoal-chart-'))
  onTestFinished(() => rm(directory, { recursive: true }))
  await writeFile(path.join(directory, 'config.yaml'), file)
  const fields: Readonly<Record<string, string>> = { ...podFields, 'status.podIP': address }
  const env: Record<string, string> = {}
  for (const { name, value, valueFrom } of container.env ?? []) {
    const given = value ?? fields[valueFrom?.fieldRef.fieldPath ?? ''] ?? 'of-the-pod'
    const expanded = given.replaceAll(/\$\((\w+)\)/g, (_all, other: string) => env[other] ?? '')
    env[name] = expanded.replace('/etc/shoal/config', directory)
  }
  const started = Promise.withResolvers<AgentConfig>()
  let said = ''
  const code = await runCommand(container.args, {
    env,
    version: '0',
    print: () => {},
    printError: (text) => (said += text),
    onSignal: (listener) => void started.promise.then(() => listener('SIGTERM')),
    exit: () => {},
    runAgent: async (config) => {
      started.resolve(config)
      return { adjust: () => {}, stop: async () => {} }
    },
  })
  expect({ code, said: said.replace(/^shoal: zone and region stay unknown.*\n/, '') }).toEqual({ code: 0, said: '' })
  return started.promise
}

/** By name, as commander would give them. */
function flagsOf({ args }: Container, schema: Parameters<typeof optionViews>[0]): Record<string, string> {
  const views = optionViews(schema)
  return Object.fromEntries(
    args.slice(1).map((argument) => {
      const [, flag = '', value = ''] = /^(--[a-z-]+)=(.*)$/.exec(argument) ?? []
      if (flag === '--config') return ['config', value]
      const view = views.find((each) => each.flag === flag)
      if (view === undefined) throw new Error(`${argument} is no option`)
      return [view.name, value]
    }),
  )
}
