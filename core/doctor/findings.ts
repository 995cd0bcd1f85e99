/**
 * Everything that `shoal doctor` may find, in one table: a stable code, how bad it is, what it is, why it matters and what to
 * do about it. What stands in braces is filled in with this node's own paths and names; docs/doctor.md has them as they are here.
 */

/** Worst first. */
export const severities = ['error', 'warning', 'info'] as const
export type Severity = (typeof severities)[number]

export const severityMeanings: Readonly<Record<Severity, string>> = {
  error: 'Pulls of this node go past Shoal, fail, or will.',
  warning: 'Pulls work, but slower or not for long, or something can not be told from here.',
  info: 'Nothing to repair, but good to know.',
}

interface FindingSpec {
  readonly severity: Severity
  /** No pull of this node goes through Shoal meanwhile: the agent is not ready. */
  readonly blocks?: true
  readonly what: string
  readonly why: string
  /** Lines that begin with four spaces can be pasted as they are. */
  readonly fix: string
}

const pastShoal =
  'containerd goes to the registries itself: every pull of this node costs them the whole image, and nobody says so.'
const nextOrigin = 'containerd asks the registry instead, so pulls still work, but none of them goes through Shoal.'
const configureAgain = `Write it again; containerd reads it at each pull and needs no restart:
    shoal configure {flags}`

/** Sorted by code. Add yours here; docs/doctor.md derives from it, and a test holds that each is judged somewhere. */
export const findingTable = {
  AGENT_DOWN: {
    severity: 'error',
    what: 'No agent answers at {address} ({reason})',
    why: nextOrigin,
    fix: `See why it does not run: the end of its log names the cause. In Kubernetes:
    kubectl get pods --all-namespaces --field-selector spec.nodeName={node} --selector app.kubernetes.io/name=shoal
Where it listens elsewhere, give doctor the agent's own options (--ops-listen, --config).`,
  },
  AGENT_NOT_READY: {
    severity: 'error',
    what: 'The agent at {address} is not ready: {reason}',
    why: 'Until it is, pulls may wait, or go to the registry.',
    fix: 'What it waits for is named above; other findings say more. It becomes ready by itself once that is there.',
  },
  BULK_PORT_UNREACHABLE: {
    severity: 'error',
    what: 'The bulk listener of {peer} is not reached: {reason}',
    why: 'All that peers say to each other travels over it, and chunks. Without it no layer comes from that node, and all of them from the registry.',
    fix: `Let TCP from node to node through to the port that the agents have as --bulk-listen ({port} here); see whether it is:
    nc -vz {host} {port}`,
  },
  CLOCK_SKEWED: {
    severity: 'warning',
    what: "This node's clock is {skew} that of {others}",
    why: 'Tokens and certificates of registries look expired, or not valid yet, to a clock that is off; logs of nodes do not match.',
    fix: `Have it set by time servers, and look at its offset:
    timedatectl set-ntp true
    timedatectl timesync-status || chronyc tracking`,
  },
  CLUSTER_SECRET_MISMATCH: {
    severity: 'error',
    what: '{peer} does not know the cluster secret in {file}',
    why: 'Members talk to those only who have the same secret: this node gets nothing from that one, nor it from this.',
    fix: `Give all agents of the cluster the same file, and compare on both nodes:
    sha256sum {file}
Where the secret is being replaced, name the old one with --previous-cluster-secret-file until all agents have the new one.`,
  },
  CLUSTER_SECRET_UNUSABLE: {
    severity: 'error',
    what: 'The cluster secret can not be used: {reason}',
    why: 'The agent does not start without it.',
    fix: `It is a file with 32 random bytes, the same on all nodes, that not everybody may write:
    chmod 0440 {file}`,
  },
  CONFIG_PATH_BESIDE_MIRRORS: {
    severity: 'error',
    blocks: true,
    what: '{file} has both config_path and registry.mirrors',
    why: "containerd does not load its CRI plugin so: kubelet can't pull at all once it restarts.",
    fix: `In {file} take away every table below
    [plugins."{section}".registry.mirrors]
and then:
    systemctl restart containerd
What they named goes into a hosts.toml below {root}.`,
  },
  CONFIG_PATH_ELSEWHERE: {
    severity: 'error',
    blocks: true,
    what: 'config_path in {file} is {found}; `shoal configure` writes to {root}',
    why: `containerd does not see the mirror there. ${pastShoal}`,
    fix: `Write where containerd reads, and give doctor and the agent the same option:
    shoal cleanup --containerd-registry-config-path {root}
    shoal configure {flags} --containerd-registry-config-path {directory}`,
  },
  CONFIG_PATH_LIST: {
    severity: 'error',
    blocks: true,
    what: 'config_path is the list {found}, which containerd {version} does not split',
    why: `containerd 2.1 and newer take the list for one directory, which is not there. ${pastShoal}`,
    fix: `In {file} name one directory:
    [plugins."{section}".registry]
      config_path = "{root}"
and then:
    systemctl restart containerd`,
  },
  CONFIG_PATH_UNSET: {
    severity: 'error',
    blocks: true,
    what: '{file} sets no config_path where containerd {version} looks for it',
    why: `containerd reads no hosts.toml without it. ${pastShoal}`,
    fix: `In {file} set, in the table where it is already there, or else at the end:
    [plugins."{section}".registry]
      config_path = "{root}"
and then:
    systemctl restart containerd`,
  },
  CONTAINERD_CONFIG_UNREADABLE: {
    severity: 'warning',
    what: '{file} can not be read: {reason}',
    why: 'Whether containerd uses the mirror can not be told from its configuration.',
    fix: 'Run doctor as root on the node, or mend the file: containerd refuses to start with one that is no TOML. Where it is elsewhere, name it with --containerd-config-file.',
  },
  CONTAINERD_NOT_RESTARTED: {
    severity: 'warning',
    what: '{file} was changed after containerd started',
    why: 'containerd reads it at its start only: what is said of it here may not hold yet.',
    fix: `Restart it; running containers go on:
    systemctl restart containerd`,
  },
  CONTAINERD_TOO_OLD: {
    severity: 'error',
    what: 'containerd is {version}',
    why: 'Shoal is tested with 1.6 and newer. Before 1.5 there is no hosts.toml, and pulls go past every mirror that it names.',
    fix: 'Upgrade containerd to 1.7 or 2.x; 1.6 is its oldest release that Shoal works with.',
  },
  CONTAINERD_VERSION_UNKNOWN: {
    severity: 'info',
    what: 'Which containerd runs here is not known',
    why: 'Before 1.6 nothing works, and 2.1 and newer read config_path in another way than those before.',
    fix: `It is known once containerd has asked this mirror, or where doctor can start it:
    containerd --version`,
  },
  CONTENT_DIR_ELSEWHERE: {
    severity: 'warning',
    what: '--containerd-content-dir is {directory}; containerd keeps its content in {found}',
    why: 'What containerd has already is not shared with other nodes from there, but fetched and kept a second time.',
    fix: `Give the agent the directory, and where it runs in a container mount it there, read-only:
    --containerd-content-dir {found}`,
  },
  CONTENT_DIR_UNREADABLE: {
    severity: 'warning',
    what: "containerd's content directory {directory} can not be read: {reason}",
    why: 'What containerd has already is not shared with other nodes from there, but fetched and kept a second time.',
    fix: `Mount that very directory read-only into the agent's container (its parent is for root only, the files are for all), and see what the agent's user sees:
    ls -ld {directory} {directory}/blobs/sha256`,
  },
  DATA_DIR_NOT_SPARSE: {
    severity: 'warning',
    what: 'The filesystem of {directory} keeps no sparse files',
    why: 'A blob takes its whole size on disk as soon as its first chunk comes, and writing it takes twice as long.',
    fix: 'Put --data-dir on ext4, xfs or btrfs of a local disk.',
  },
  DATA_DIR_UNUSABLE: {
    severity: 'error',
    what: 'The data directory {directory} can not be written: {reason}',
    why: 'The agent does not start without it; where it runs already, it keeps nothing and gives nothing to others.',
    fix: `Make it a directory that the agent's user may write, on a filesystem that is not read-only:
    mkdir -p {directory} && touch {directory}/probe && rm {directory}/probe
    findmnt --target {directory}`,
  },
  DATA_DIR_VOLATILE: {
    severity: 'warning',
    what: 'The data directory {directory} is on {filesystem}',
    why: "It takes the node's memory, and with each restart of the node all that was kept is gone, the mirror's CA and secret too: hosts.toml is stale then.",
    fix: 'Put --data-dir on a disk; in Kubernetes a hostPath, as /var/lib/shoal.',
  },
  DESCRIPTORS_FEW: {
    severity: 'warning',
    what: 'The agent may open {limit} files and connections; up to {wanted} are used',
    why: 'In a large rollout connections are refused, and pulls go to the registry.',
    fix: `Raise the limit of its container or unit, as systemd's:
    LimitNOFILE=1048576`,
  },
  DISK_SPACE_LOW: {
    severity: 'warning',
    what: 'The filesystem of {directory} is {used} % full; above {ceiling} % nothing new is kept',
    why: 'Blobs pass through and are not given to other nodes; kubelet deletes images, or evicts pods, soon after.',
    fix: `See what takes the room; --store-max-bytes bounds what Shoal may take of it:
    du -xh --max-depth=2 {directory} | sort -h | tail
    crictl rmi --prune`,
  },
  HOSTS_INVALID: {
    severity: 'error',
    blocks: true,
    what: '{file} is no hosts file: {reason}',
    why: `containerd logs that and ignores the file. ${pastShoal}`,
    fix: `Mend it, or take it away and write it again:
    mv {file} {file}.broken
    shoal configure {flags}`,
  },
  HOSTS_MISSING: {
    severity: 'error',
    blocks: true,
    what: 'No hosts.toml below {root} sends {registries} to the mirror at {mirror}',
    why: pastShoal,
    fix: `Write it; containerd reads it at each pull and needs no restart:
    shoal configure {flags}`,
  },
  HOSTS_SHADOWED: {
    severity: 'warning',
    what: 'The directory {directory} comes first for {registries}, and does not name the mirror',
    why: 'containerd reads one directory for each registry, its own before _default: pulls from there go past Shoal.',
    fix: `Have the mirror put before what the directory names, which is kept; or leave it so, if that is meant:
    shoal configure {flags}`,
  },
  HOSTS_STALE: {
    severity: 'error',
    blocks: true,
    what: '{file} is not for the agent of now: {reason}',
    why: `The agent and containerd do not know each other by it, as after its data directory was deleted. ${nextOrigin}`,
    fix: configureAgain,
  },
  HOSTS_UNREADABLE: {
    severity: 'warning',
    what: '{file} can not be read: {reason}',
    why: 'Whether containerd is sent to the mirror can not be told. The file holds a secret: it is for root alone.',
    fix: `Run doctor as root:
    sudo shoal doctor {flags}`,
  },
  HOSTS_WITHOUT_HOST: {
    severity: 'error',
    blocks: true,
    what: '{file} has no [host] table',
    why: `containerd 1.6 and 1.7 ignore such a file, newer ones find no mirror in it. ${pastShoal}`,
    fix: `Have the mirror added; what the file says is kept:
    shoal configure {flags}`,
  },
  IMAGE_NOT_SERVED: {
    severity: 'error',
    what: 'The mirror does not serve {image}: {reason}',
    why: 'That is what containerd gets when it asks, and why it then asks the registry.',
    fix: `See which rule decides about it, and what its registry says:
    shoal doctor --explain {image}`,
  },
  INODES_LOW: {
    severity: 'warning',
    what: 'The filesystem of {directory} has {free} % of its inodes left',
    why: 'Shoal keeps nothing new below 10 %, and kubelet evicts pods below 5 %.',
    fix: `Find what holds so many small files:
    du -x --inodes --max-depth=3 "$(findmnt --noheadings --output TARGET --target {directory})" | sort -n | tail`,
  },
  LAYERS_DISCARDED: {
    severity: 'info',
    what: 'containerd discards layers once they are unpacked (discard_unpacked_layers in {file})',
    why: "Nothing is wrong: what passes through the mirror is kept in Shoal's own store, and other nodes get it from there. Layers that were on the node before can not be given to them.",
    fix: 'Nothing. Let --store-max-bytes have room for the images that nodes pull at the same time.',
  },
  MIRROR_CERTIFICATE_STALE: {
    severity: 'warning',
    what: "The mirror's certificate could not be renewed: {reason}",
    why: 'When it has run out, containerd does not believe the mirror and goes past it.',
    fix: 'It is tried again every ten minutes, and lasts for days. Where it goes on, restart the agent and report it with its log.',
  },
  MIRROR_KEYS_MISSING: {
    severity: 'warning',
    what: "The mirror's CA or secret is gone from {directory}: {reason}",
    why: 'The running agent still has them in memory. The next one makes new ones, which hosts.toml does not know: pulls then go past Shoal.',
    fix: `Restart the agent, then tell containerd of what it made:
    shoal configure {flags}`,
  },
  MIRROR_SQUATTED: {
    severity: 'error',
    what: 'Something else than this agent answers at {mirror}: {reason}',
    why: 'The agent does not get its port. containerd does not believe whoever has it, shows it nothing, and goes to the registry.',
    fix: `See who has the port; end it, or give the agent another with --mirror-listen and run \`shoal configure\` again:
    ss -ltnp 'sport = :{port}'`,
  },
  MIRROR_UNREACHED: {
    severity: 'error',
    what: 'The agent runs, but its mirror at {mirror} is not reached: {reason}',
    why: nextOrigin,
    fix: `It has to listen where containerd asks, in the same network namespace; compare:
    ss -ltn 'sport = :{port}'
In Kubernetes the pod needs hostNetwork.`,
  },
  ORIGIN_FORBIDDEN: {
    severity: 'error',
    what: 'The agent may not ask {origin}: {reason}',
    why: 'Registries at private addresses are asked only where they are listed. Pulls of its images go past Shoal.',
    fix: `List it, with whatever else the agent has as --origins:
    --origins {origin}`,
  },
  ORIGIN_NAME_UNKNOWN: {
    severity: 'error',
    what: "{host}, the registry {origin}, has no address by this node's resolver ({reason})",
    why: 'Nothing of it can be pulled that no node has yet, and tags can not be resolved.',
    fix: `Ask the resolver that the agent asks (in Kubernetes with hostNetwork: the node's, unless dnsPolicy says otherwise):
    getent ahosts {host}
    cat /etc/resolv.conf`,
  },
  ORIGIN_UNREACHABLE: {
    severity: 'error',
    what: 'The registry {origin} is not reached at {host}: {reason}',
    why: 'Nothing of it can be pulled that no node has yet, and tags can not be resolved.',
    fix: `Look whether the node reaches it, and through which proxy (HTTPS_PROXY and NO_PROXY hold for the agent as for containerd):
    curl -sSI '{url}'`,
  },
  ORIGIN_UNTRUSTED: {
    severity: 'error',
    what: 'The registry {origin} shows a certificate that is not trusted: {reason}',
    why: 'The agent does not speak to it. Pulls of its images go past Shoal, where containerd trusts it.',
    fix: `Name the CA that signed it, for all registries, or for this one alone as caFiles of its entry in --origins:
    --extra-ca-files /etc/ssl/certs/its-ca.pem`,
  },
  ORIGIN_WITHOUT_RANGES: {
    severity: 'warning',
    what: 'The registry {origin} does not send parts of a blob',
    why: 'Several nodes can not share the fetching of one layer: one of them takes all of it, and the others wait for its chunks.',
    fix: 'See whether a proxy or CDN before the registry drops the Range header, and have it pass that on.',
  },
  PEERS_PORT_UNREACHABLE: {
    severity: 'error',
    what: 'The peers listener of {peer} is not reached: {reason}',
    why: 'This node and that one give each other nothing.',
    fix: `Let TCP from node to node through to the port that the agents have as --peers-listen ({port} here); see whether it is:
    nc -vz {host} {port}`,
  },
  PULLS_PASS_BY: {
    severity: 'warning',
    what: 'containerd has stored new content {ago} ago, and has not asked this mirror {since}',
    why: "Images were pulled past Shoal: containerd's configuration sends it elsewhere, whatever the files say. Images that were imported or built here look the same.",
    fix: `Pull an image as kubelet does and look what the agent counts meanwhile:
    crictl pull docker.io/library/busybox
    curl -s {ops}/metrics | grep shoal_requests_total
Where nothing is counted: restart containerd, and run \`shoal doctor\` as root on the node.`,
  },
  SECRETS_READABLE: {
    severity: 'warning',
    what: 'Every user of this node may read {files}',
    why: "Whoever knows the node's secret may ask the mirror; whoever knows the cluster's is a member.",
    fix: `Take that away:
    chmod o-rwx {files}`,
  },
  SEEDS_NAME_UNKNOWN: {
    severity: 'warning',
    what: 'The name of the seeds, {name}, has no address ({reason})',
    why: 'Agents find each other by it. Those that run already go on; new ones stay alone, and each takes whole images from the registry.',
    fix: `Ask the DNS server that the agent asks: one of --seeds-dns-servers, else the node's resolver. In Kubernetes a pod with hostNetwork needs the former (clusterDns.servers of the chart) or dnsPolicy ClusterFirstWithHostNet, and the headless Service pods behind it:
    getent ahosts {name}
    kubectl get endpointslices --all-namespaces --selector app.kubernetes.io/name=shoal`,
  },
  SEEDS_UNREACHABLE: {
    severity: 'error',
    what: 'No seed is reached: {reason}',
    why: 'This node finds no other, and takes whole images from the registry.',
    fix: `Let TCP from node to node through to the port that the agents have as --cluster-listen, and see whether it is:
    nc -vz {host} {port}`,
  },
  SEED_UNREACHABLE: {
    severity: 'warning',
    what: 'The seed {peer} is not reached: {reason}',
    why: 'Others are, so this node works. Where all agents list a seed that is gone, one less is left.',
    fix: `Start the agent there, or take it from --seeds on all nodes:
    nc -vz {host} {port}`,
  },
  TOKEN_SERVICE_UNREACHABLE: {
    severity: 'error',
    what: 'The token service {host} of the registry {origin} is not reached: {reason}',
    why: 'Without a token of it nothing can be pulled there, not even what is open to all.',
    fix: `Look whether the node reaches it; proxies and firewalls often let through the registry alone:
    curl -sSI '{url}'`,
  },
} as const satisfies Record<string, FindingSpec>

export type FindingCode = keyof typeof findingTable

export const findingCodes = Object.keys(findingTable).filter((code): code is FindingCode =>
  Object.hasOwn(findingTable, code),
)

/** One thing that was found on this node. */
export interface Finding {
  readonly code: FindingCode
  readonly severity: Severity
  readonly what: string
  readonly why: string
  readonly fix: string
}

type NamesIn<Text extends string> = Text extends `${string}{${infer Rest}`
  ? Rest extends `${infer Name}}${infer After}`
    ? (Name extends Lowercase<Name> ? Name : never) | NamesIn<After>
    : never
  : never

type Row<Code extends FindingCode> = (typeof findingTable)[Code]
/** What the texts of a code leave open. */
export type FindingValues<Code extends FindingCode> = Readonly<
  Record<NamesIn<Row<Code>['what'] | Row<Code>['fix']>, string | number>
>

/** Fills in what the texts of `code` leave open. */
export function finding<Code extends FindingCode>(code: Code, values: FindingValues<Code>): Finding {
  const { severity, what, why, fix }: FindingSpec = findingTable[code]
  const given: Readonly<Record<string, string | number>> = values
  const fill = (text: string): string => text.replaceAll(/\{([a-z]+)\}/g, (_all, name: string) => String(given[name]))
  return { code, severity, what: fill(what), why, fix: fill(fix) }
}

/** Does no pull of this node go through Shoal while it lasts? */
export function blocksPulls({ code }: Finding): boolean {
  const { blocks }: FindingSpec = findingTable[code]
  return blocks === true
}

/** Worst first; else as they came. One of each code and text. */
export function sortFindings(findings: readonly Finding[]): Finding[] {
  const unique = new Map(findings.map((each) => [`${each.code} ${each.what}`, each]))
  return [...unique.values()].toSorted((a, b) => severities.indexOf(a.severity) - severities.indexOf(b.severity))
}
