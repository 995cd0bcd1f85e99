/**
 * Where nodes of each platform keep what Shoal reads and writes, and what their operator must set: for docs/platforms.md, for the values of
 * the chart, and for the test that pulls with real containerd under each configuration.
 */

/** A containerd that the platform ships, and how it pulls once the chart has run. */
export interface ShippedContainerd {
  /** Its release series, as `1.7`; `2` is any of them. */
  readonly series: '1.6' | '1.7' | '2'
  /** The configuration that it ships with, in test/support/platforms; `default`: what `containerd config default` prints. */
  readonly fixture: string
  /** Does it ask the mirror with nothing set by the operator? */
  readonly isMirrored: boolean
}

export interface Platform {
  /** Of the values file, and of the page's section. */
  readonly key: string
  readonly name: string
  /** What containerd reads at its start. */
  readonly configFile: string
  /** Files that it imports, by fixture. */
  readonly imports?: Readonly<Record<string, string>>
  /** Where `hosts.toml` files are; undefined: there is no such directory, and mirrors are a setting of the platform. */
  readonly registryConfigPath: string | undefined
  readonly containerdRoot: string
  readonly seLinux: string
  /** Of the agent's pods, where SELinux enforces and no container may use directories of the node otherwise. */
  readonly seLinuxType?: string
  readonly containerds: readonly ShippedContainerd[]
  readonly toSet?: OperatorSetting
  readonly remarks: readonly string[]
}

/** What the operator sets, outside of Shoal. */
export interface OperatorSetting {
  /** Else it is for those who want something that does not ship. */
  readonly isNeeded: boolean
  readonly what: string
  readonly language: string
  readonly text: string
  /** What of it reaches containerd: a fixture that takes the place of the one that ships, or TOML that is added. */
  readonly effect:
    | { readonly fixture: string }
    | { readonly toml: Readonly<Record<ShippedContainerd['series'], string>> }
}

const keptBesides =
  'Layers are thrown away once they are unpacked; the agent keeps what passes through it, so nothing has to be changed.'

export const platforms: readonly Platform[] = [
  {
    key: 'eks-al2023',
    name: 'EKS, Amazon Linux 2023',
    configFile: '/etc/containerd/config.toml',
    registryConfigPath: '/etc/containerd/certs.d',
    containerdRoot: '/var/lib/containerd',
    seLinux: 'permissive',
    containerds: [
      { series: '1.7', fixture: 'eks-al2023-containerd-1', isMirrored: true },
      { series: '2', fixture: 'eks-al2023-containerd-2', isMirrored: true },
    ],
    toSet: {
      isNeeded: false,
      what: 'Only where containerd is to keep layers, for nodes that run a while without Shoal: both of these in the NodeConfig, never the first one alone (with containerd 1.x `discard_unpacked_layers` is in `[plugins."io.containerd.grpc.v1.cri".containerd]`).',
      language: 'yaml',
      text: `apiVersion: node.eks.aws/v1alpha1
kind: NodeConfig
spec:
  containerd:
    config: |
      [plugins."io.containerd.cri.v1.images"]
      discard_unpacked_layers = false
      [plugins."io.containerd.cri.v1.images".registry]
      config_path = "/etc/containerd/certs.d"`,
      effect: {
        toml: inTables(
          (images, keeping) =>
            `[${keeping}]\ndiscard_unpacked_layers = false\n[${images}.registry]\nconfig_path = "/etc/containerd/certs.d"`,
        ),
      },
    },
    remarks: [
      keptBesides,
      '`config_path` is a list, which containerd 2.1 and newer ignore in their new way of pulling. It is `discard_unpacked_layers` that has them pull in the old way, in which the list counts.',
    ],
  },
  {
    key: 'bottlerocket',
    name: 'Bottlerocket',
    configFile: '/etc/containerd/config.toml',
    registryConfigPath: undefined,
    containerdRoot: '/var/lib/containerd',
    seLinux: 'enforcing',
    seLinuxType: 'super_t',
    containerds: [
      { series: '1.7', fixture: 'bottlerocket-containerd-1', isMirrored: false },
      { series: '2', fixture: 'bottlerocket-containerd-2', isMirrored: false },
    ],
    toSet: {
      isNeeded: true,
      what: 'The mirror, in the settings of the nodes:',
      language: 'toml',
      text: '[[settings.container-registry.mirrors]]\nregistry = "*"\nendpoint = ["http://127.0.0.1:5050"]',
      effect: {
        toml: inTables((images) => `[${images}.registry.mirrors."*"]\nendpoint = ["http://127.0.0.1:5050"]`),
      },
    },
    remarks: [
      'containerd has no `config_path` there, its file is read-only, and the settings know neither a CA nor headers. So the mirror speaks plain HTTP, to every process of the node, and a process that takes its port while no agent runs is sent what containerd sends ([security.md](security.md)).',
      '`shoal doctor` knows no mirrors of settings, and says CONFIG_PATH_UNSET there.',
    ],
  },
  {
    key: 'gke-cos',
    name: 'GKE, Container-Optimized OS',
    configFile: '/etc/containerd/config.toml',
    registryConfigPath: '/etc/containerd/hosts.d',
    containerdRoot: '/var/lib/containerd',
    seLinux: 'none',
    containerds: [{ series: '1.7', fixture: 'gke-cos', isMirrored: false }],
    toSet: {
      isNeeded: true,
      what: 'At least one of `registryHosts`, in the containerd configuration of the cluster or node pool (GKE 1.34.1-gke.2980000 or newer): with it, nodes have a directory of `hosts.toml` files, to which Shoal adds its own. This one keeps what GKE does for Docker Hub:',
      language: 'yaml',
      text: 'registryHosts:\n  - server: docker.io\n    hosts:\n      - host: https://mirror.gcr.io\n        capabilities: [HOST_CAPABILITY_PULL, HOST_CAPABILITY_RESOLVE]',
      effect: { fixture: 'gke-cos-registry-hosts' },
    },
    remarks: [
      'Nodes are made anew when it is set. The directory is not in the documentation of nodes but in that of the API; look at a node before you rely on it.',
      "Nodes are read-only but for a few directories, `/var/lib` among them; `/etc` is made anew at each boot, and the agent's init container then writes its files again.",
    ],
  },
  {
    key: 'aks',
    name: 'AKS',
    configFile: '/etc/containerd/config.toml',
    registryConfigPath: '/etc/containerd/certs.d',
    containerdRoot: '/var/lib/containerd',
    seLinux: 'none on Ubuntu, permissive on Azure Linux',
    containerds: [
      { series: '1.7', fixture: 'aks-containerd-1', isMirrored: true },
      { series: '2', fixture: 'aks-containerd-2', isMirrored: true },
    ],
    remarks: [
      'Node pools with a data directory of their own have `root` elsewhere: set `agent.config.containerdContentDir` for them.',
    ],
  },
  rancher('k3s', 'k3s'),
  rancher('rke2', 'RKE2'),
  {
    key: 'talos',
    name: 'Talos',
    configFile: '/etc/cri/containerd.toml',
    imports: { '/etc/cri/conf.d/cri.toml': 'talos-cri' },
    registryConfigPath: '/etc/cri/conf.d/hosts',
    containerdRoot: '/var/lib/containerd',
    seLinux: 'permissive',
    containerds: [{ series: '2', fixture: 'talos', isMirrored: true }],
    remarks: [
      keptBesides,
      'Mirrors and certificates of the machine configuration (`machine.registries`) are files in the same directory: Shoal keeps them behind its mirror, and Talos writes its own again when the machine configuration changes. Restart the agents then.',
      'The namespace must admit privileged pods (`pod-security.kubernetes.io/enforce: privileged`), since pods with directories of the node are.',
    ],
  },
  {
    key: 'kubeadm',
    name: "kubeadm, and others with containerd's own defaults",
    configFile: '/etc/containerd/config.toml',
    registryConfigPath: '/etc/containerd/certs.d',
    containerdRoot: '/var/lib/containerd',
    seLinux: 'enforcing on RHEL and its kin, none elsewhere',
    containerds: [
      { series: '1.6', fixture: 'default', isMirrored: false },
      { series: '1.7', fixture: 'default', isMirrored: false },
      { series: '2', fixture: 'default', isMirrored: false },
    ],
    toSet: {
      isNeeded: true,
      what: 'The directory, in the configuration of containerd, which must be restarted once (with containerd 1.x the table is `[plugins."io.containerd.grpc.v1.cri".registry]`):',
      language: 'toml',
      text: '[plugins."io.containerd.cri.v1.images".registry]\nconfig_path = "/etc/containerd/certs.d"',
      effect: { toml: inTables((images) => `[${images}.registry]\nconfig_path = "/etc/containerd/certs.d"`) },
    },
    remarks: [
      'containerd 2.2 and newer have a list of two directories where none is set, and ignore it: set the one.',
      'Where SELinux enforces, give the pods `agent.podSecurityContext.seLinuxOptions.type: spc_t`.',
    ],
  },
]

/** The tables of registries and of what is kept, by their names in each series. */
function inTables(text: (images: string, keeping: string) => string): Record<ShippedContainerd['series'], string> {
  const cri = 'plugins."io.containerd.grpc.v1.cri"'
  const images = 'plugins."io.containerd.cri.v1.images"'
  const of1 = text(cri, `${cri}.containerd`)
  return { '1.6': of1, '1.7': of1, '2': text(images, images) }
}

/** k3s and RKE2 differ in one directory: the configurations of the first stand for both. */
function rancher(key: 'k3s' | 'rke2', name: string): Platform {
  const directory = `/var/lib/rancher/${key}/agent`
  return {
    key,
    name,
    configFile: `${directory}/etc/containerd/config.toml`,
    registryConfigPath: `${directory}/etc/containerd/certs.d`,
    containerdRoot: `${directory}/containerd`,
    seLinux: 'enforcing with `--selinux` on RHEL and its kin, else none',
    containerds:
      key === 'k3s'
        ? [
            { series: '1.7', fixture: 'k3s-containerd-1', isMirrored: true },
            { series: '2', fixture: 'k3s-containerd-2', isMirrored: true },
          ]
        : [],
    remarks: [
      `At each start ${name} writes the directories of the registries that \`/etc/rancher/${key}/registries.yaml\` names anew, and leaves all others: restart the agents after it. Without that file nothing is to be done. What the file says is kept, behind the mirror.`,
      'Where SELinux enforces, give the pods `agent.podSecurityContext.seLinuxOptions.type: spc_t`.',
      `The registry mirror that is embedded in ${name} (\`--embedded-registry\`) does another thing for the same images; use one of them.`,
    ],
  }
}

/** containerd's content directory. */
export function contentDirectoryOf({ containerdRoot }: Platform): string {
  return `${containerdRoot}/io.containerd.content.v1.content`
}
