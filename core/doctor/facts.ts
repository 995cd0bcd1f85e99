/**
 * What was found out about a node, before anybody judges it. A part that is undefined could not be seen from where doctor ran,
 * and nothing is said of it. Texts called `reason` are for people.
 */

/** What the options say: where things should be. */
export interface NodeSettings {
  /** Where `shoal configure` writes. */
  readonly root: string
  /** Where a client on this node reaches the mirror. */
  readonly mirror: string
  readonly mirrorPort: number
  /** Base URL of health and metrics. */
  readonly ops: string
  /** What `shoal configure` needs to be told, to be pasted behind it. */
  readonly flags: string
  readonly node: string
  readonly dataDirectory: string
  readonly secretFile: string | undefined
  /** The share of the filesystem, in percent, above which nothing new is kept. */
  readonly ceilingPercent: number
}

export interface Facts {
  readonly settings: NodeSettings
  readonly containerd?: ContainerdFacts | undefined
  readonly hosts?: readonly HostsDirectory[] | undefined
  readonly agent?: AgentAnswer | undefined
  readonly image?: ImageAnswer | undefined
  readonly keys?: Checked | undefined
  readonly exposed?: readonly string[] | undefined
  readonly content?: ContentDirectory | undefined
  readonly disk?: DiskFacts | undefined
  readonly cluster?: ClusterFacts | undefined
  readonly origins?: readonly OriginFacts[] | undefined
  readonly inside?: InsideFacts | undefined
}

export type Checked = { readonly ok: true } | { readonly ok: false; readonly reason: string }

// containerd

export interface ContainerdFacts {
  /** As `1.7.24`; undefined where nobody said. */
  readonly version: string | undefined
  readonly config: ContainerdConfig
  /** When the process that reads this very file started, and when any of its files was changed last; ms since 1970. */
  readonly process?: { readonly startedMs: number; readonly changedMs: number } | undefined
}

export type ContainerdConfig =
  | { readonly kind: 'unreadable'; readonly file: string; readonly reason: string }
  | ({ readonly kind: 'read'; readonly file: string } & ContainerdOptions)

/** What of containerd's configuration decides about mirrors; imports are merged in. */
export interface ContainerdOptions {
  /** The plugin whose tables hold it, by the version of the file: what stands under another name is not read. */
  readonly section: string
  readonly configPath: string | undefined
  readonly hasMirrors: boolean
  readonly discardsLayers: boolean
  /** Does 2.1 and newer pull as 2.0 did, since an option asks for it? Only so a list is split. */
  readonly pullsLocally: boolean
  /** Where containerd keeps its data. */
  readonly root: string
}

// hosts.toml

/** A directory in which containerd looks for a registry. */
export interface HostsDirectory {
  readonly directory: string
  readonly file: string
  /** For people. */
  readonly registries: string
  /** Is it named by the options, or the one for all, and not just there? */
  readonly expected: boolean
  readonly state: HostsState
}

export type HostsState =
  | { readonly kind: 'no directory' }
  | { readonly kind: 'no file' }
  | { readonly kind: 'no host' }
  /** It names hosts, and none of them is this node's mirror. */
  | { readonly kind: 'other hosts' }
  | { readonly kind: 'invalid'; readonly reason: string }
  | { readonly kind: 'unreadable'; readonly reason: string }
  /** It may not be read from here, and by its note it is what `shoal configure` wrote, or another file. */
  | { readonly kind: 'as written' }
  | { readonly kind: 'replaced' }
  /** Written by `shoal configure`; `url` is where it says that the mirror is. */
  | {
      readonly kind: 'mirror'
      readonly url: string
      readonly answer: MirrorAnswer
      /** What came of asking it for the image that doctor was told. */
      readonly image?: MirrorAnswer
    }

/** What came of asking the mirror as the file says. */
export type MirrorAnswer =
  | { readonly kind: 'answered'; readonly status: number }
  | { readonly kind: 'refused' }
  /** Neither an answer nor a refusal. */
  | { readonly kind: 'failed'; readonly reason: string }
  /** Another CA than the pinned one; `isAgent`: it is that of this node's data directory (undefined: there is none to compare). */
  | { readonly kind: 'untrusted'; readonly isAgent: boolean | undefined }
  | { readonly kind: 'no TLS' }

// The agent

export type AgentAnswer =
  | { readonly kind: 'silent'; readonly reason: string }
  /** Somebody who is no agent answers there. */
  | { readonly kind: 'stranger'; readonly reason: string }
  | { readonly kind: 'answered'; readonly notReady: string | undefined }

export interface ImageAnswer {
  readonly image: string
  readonly answer: Checked
}

export interface ContentDirectory {
  readonly directory: string
  readonly answer: Checked
}

/** What only the running agent knows; times in ms. */
export interface InsideFacts {
  readonly upMs: number
  /** How long ago containerd last got an answer here; undefined: not since the start. */
  readonly askedAgoMs: number | undefined
  /** How long ago the newest file of containerd's content directory was written; undefined: none, or not seen. */
  readonly newContentAgoMs: number | undefined
  readonly certificateFailure: string | undefined
  readonly descriptorsMax: number | undefined
  /** Hosts that failed the agent several times in a row, each with the registry that it was asked for. */
  readonly resting: readonly { readonly origin: string; readonly host: string }[]
  /** Registries that sent a whole blob where a part was asked for. */
  readonly unranged: readonly string[]
}

// Disk

export interface DiskFacts {
  readonly directory: string
  readonly writable: Checked
  /** Of a kind that a restart of the node empties, by name. */
  readonly volatile: string | undefined
  readonly sparse: boolean | undefined
  readonly usedPercent: number | undefined
  /** Undefined where the filesystem counts none. */
  readonly inodesFreePercent: number | undefined
}

// Cluster

export interface ClusterFacts {
  readonly secret: Checked
  /** The name of the seeds, where there is one. */
  readonly seedsName?: { readonly name: string; readonly answer: Checked } | undefined
  /** Seeds and other members that were asked. */
  readonly members: readonly MemberAnswer[]
}

export interface MemberAnswer {
  /** `host:port` of its cluster listener. */
  readonly address: string
  readonly host: string
  readonly port: number
  readonly isSeed: boolean
  readonly answer:
    | { readonly kind: 'unreachable'; readonly reason: string }
    | { readonly kind: 'other secret' }
    /** How far its clock is ahead of this node's. */
    | { readonly kind: 'member'; readonly aheadMs: number; readonly peers?: PortAnswer; readonly bulk?: PortAnswer }
}

export interface PortAnswer {
  readonly host: string
  readonly port: number
  readonly answer: Checked
}

// Registries

export interface OriginFacts {
  readonly origin: string
  /** Of the URL that is asked. */
  readonly host: string
  readonly url: string
  readonly answer: OriginAnswer
  readonly tokens?: { readonly host: string; readonly url: string; readonly answer: Checked } | undefined
  /** Undefined where no blob was asked for. */
  readonly ranged?: boolean | undefined
}

export type OriginAnswer =
  /** How far its clock is ahead, by the Date of its answer; to a second. */
  | { readonly kind: 'answered'; readonly aheadMs: number | undefined }
  | { readonly kind: 'no name' | 'untrusted' | 'forbidden' | 'unreachable'; readonly reason: string }
