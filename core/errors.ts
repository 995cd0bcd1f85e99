/** Every error a user can meet, in one table: its stable code, what it says, and how an OCI client sees it. */
import type { OciErrorCode } from './oci/errors.ts'

interface ErrorSpec {
  /** HTTP status where the error reaches a client over HTTP. Never 408 or 429: containerd re-sends those at once, five times. */
  readonly status: number
  /** The code in the OCI error body. */
  readonly oci: OciErrorCode
  /** What is wrong, and what to do about it. */
  readonly help: string
}

/** Sorted by code. Add yours here; a test holds that each is used and documented. */
export const errorTable = {
  AGENT_STOPPING: {
    status: 503,
    oci: 'UNSUPPORTED',
    help: 'The agent on this node is shutting down; the client goes on at the origin.',
  },
  BLOB_CORRUPT: {
    status: 502,
    oci: 'BLOB_UNKNOWN',
    help: 'The bytes that came do not match the digest and were thrown away. Pull again; if it repeats, the registry holds a broken blob.',
  },
  BLOB_TOO_LARGE: {
    status: 502,
    oci: 'SIZE_INVALID',
    help: 'A manifest or the origin says that the blob is larger than 256 GiB, which agents neither keep nor share. Clients that have the registry as their next host get it there.',
  },
  CHUNK_CORRUPT: {
    status: 500,
    oci: 'BLOB_UNKNOWN',
    help: 'A chunk on disk no longer matches its hash and was dropped; it is fetched again. Check the disk if this repeats.',
  },
  CLUSTER_MAC_WRONG: {
    status: 502,
    oci: 'BLOB_UNKNOWN',
    help: 'What listens at that address does not prove that it knows the cluster secret: it has another one, or is no agent of this cluster.',
  },
  CLUSTER_UNREACHABLE: {
    status: 502,
    oci: 'BLOB_UNKNOWN',
    help: 'No answer from the cluster listener of that member: it is down, its address is wrong, or a firewall is in between.',
  },
  CONFIG_INVALID: {
    status: 500,
    oci: 'UNSUPPORTED',
    help: 'The agent does not start with these options. `shoal agent --help` and docs/options.md describe each.',
  },
  CREDENTIALS_INVALID: {
    status: 500,
    oci: 'UNSUPPORTED',
    help: 'A file that --credential-provider-config or --registry-configs names can not be used; docs/credentials.md says what they look like.',
  },
  CREDENTIAL_PROGRAM_FAILED: {
    status: 500,
    oci: 'UNSUPPORTED',
    help: 'The agent goes on without the credentials that this program gives. Run it by hand as docs/credentials.md says; what it writes is never logged.',
  },
  DIGEST_INVALID: {
    status: 400,
    oci: 'DIGEST_INVALID',
    help: 'A digest is `sha256:` and 64 lower-case hex digits.',
  },
  DISK_FAILED: {
    status: 500,
    oci: 'BLOB_UNKNOWN',
    help: 'The data directory can not be read or written; blobs pass through unkept. Check the disk and its permissions.',
  },
  DISK_FULL: {
    status: 500,
    oci: 'BLOB_UNKNOWN',
    help: 'The data directory is full; blobs pass through unkept. Free space or lower --store-max-bytes.',
  },
  HOSTS_FAILED: {
    status: 500,
    oci: 'UNSUPPORTED',
    help: "Run it as root, with containerd's directory mounted where --containerd-registry-config-path says. What was done until then holds, and the same command again does the rest.",
  },
  HOSTS_INVALID: {
    status: 500,
    oci: 'UNSUPPORTED',
    help: 'containerd ignores this file as it is, and nothing was changed. Mend it or take it away, then run `shoal configure` again.',
  },
  HOST_REFUSED: {
    status: 421,
    oci: 'DENIED',
    help: 'The Host header names none of the names of this mirror; call it by its listen address, or list the name in --mirror-host-names.',
  },
  IDENTITY_INVALID: {
    status: 500,
    oci: 'UNSUPPORTED',
    help: 'The identity file in the data directory holds no Ed25519 key. Restore it, or delete it to join as a new peer.',
  },
  IDENTITY_SHARED: {
    status: 500,
    oci: 'UNSUPPORTED',
    help: "Two agents have the same identity file, as nodes made from one disk image do, and take each other's place among the members. Stop one, delete that file in its data directory, and start it again.",
  },
  IDENTITY_UNREADABLE: {
    status: 500,
    oci: 'UNSUPPORTED',
    help: 'The identity file in the data directory can not be read or written. Check its owner, its mode (0600) and the disk.',
  },
  INTERNAL_FAULT: {
    status: 500,
    oci: 'UNSUPPORTED',
    help: 'A fault of the agent itself; its log says more. The client goes on at the origin.',
  },
  KUBERNETES_FAILED: {
    status: 500,
    oci: 'UNSUPPORTED',
    help: "The pod's service account must be allowed to do this (`rbac.create` of the chart), and the Kubernetes API must be reached from the node.",
  },
  LISTEN_FAILED: {
    status: 500,
    oci: 'UNSUPPORTED',
    help: 'The agent does not start without it: free the port, or give another with --mirror-listen, --peers-listen, --bulk-listen, --cluster-listen or --ops-listen.',
  },
  MANIFEST_INVALID: {
    status: 502,
    oci: 'MANIFEST_INVALID',
    help: 'The registry holds a manifest that clients could read in two ways or not at all; push the image again with a current tool.',
  },
  METHOD_UNSUPPORTED: {
    status: 405,
    oci: 'UNSUPPORTED',
    help: 'The mirror only reads: GET and HEAD. Push to the registry itself.',
  },
  MIRROR_KEYS_INVALID: {
    status: 500,
    oci: 'UNSUPPORTED',
    help: 'The CA or the secret of the mirror in the data directory can not be used. Restore the file, or delete it and run `shoal configure` again, which tells containerd of the new one.',
  },
  NAMESPACE_INVALID: {
    status: 400,
    oci: 'NAME_INVALID',
    help: 'Give `ns` at most once, with the host name of the registry.',
  },
  NAME_INVALID: {
    status: 400,
    oci: 'NAME_INVALID',
    help: 'A repository name is lower-case path components of at most 255 characters in all (OCI distribution-spec).',
  },
  NODES_LEFT: {
    status: 500,
    oci: 'UNSUPPORTED',
    help: 'Its pods that are not ready (`kubectl get pods -o wide`) name the nodes, and their logs the reason. The DaemonSet stays, and does the rest once they are back; then delete it.',
  },
  NODE_SECRET_WRONG: {
    status: 403,
    oci: 'DENIED',
    help: "The mirror answers whoever knows this node's secret: run `shoal configure`, which tells containerd, or let everybody in with --mirror-protocol http.",
  },
  NOT_MIRRORED: {
    status: 404,
    oci: 'NAME_UNKNOWN',
    help: 'The mirror does not handle this, by --rules or --origin-access; the client goes on at the registry itself. `shoal doctor` says which rule decides.',
  },
  ORIGIN_DENIED: {
    status: 403,
    oci: 'DENIED',
    help: 'The registry refuses this to the credential that came with the request; see what it says itself.',
  },
  ORIGIN_FORBIDDEN: {
    status: 403,
    oci: 'DENIED',
    help: 'This host may not be asked. Public hosts are reached by name unless --unlisted-origins refuses them; list a private or local one in --origins; metadata addresses are never asked.',
  },
  ORIGIN_NOT_FOUND: {
    status: 404,
    oci: 'MANIFEST_UNKNOWN',
    help: 'The registry does not have this, or hides it from the credential that came with the request.',
  },
  ORIGIN_PROTOCOL: {
    status: 502,
    oci: 'UNSUPPORTED',
    help: 'The registry, or a proxy before it, answered in a way that can not be trusted; nothing of the answer is used.',
  },
  ORIGIN_RATE_LIMITED: {
    status: 503,
    oci: 'TOOMANYREQUESTS',
    help: 'The registry limits how often it may be asked; all agents hold back until the time it named. A pull secret often raises the limit.',
  },
  ORIGIN_UNAUTHORIZED: {
    status: 401,
    oci: 'UNAUTHORIZED',
    help: 'The registry wants a credential, or another one; give the pod an image pull secret for it.',
  },
  ORIGIN_UNAVAILABLE: {
    status: 503,
    oci: 'UNSUPPORTED',
    help: 'The registry can not be reached from this node, or fails; check its health, DNS, proxy settings and routes.',
  },
  PASSWORD_UNPROTECTED: {
    status: 404,
    oci: 'DENIED',
    help: 'With --mirror-protocol http the mirror asks for passwords on loopback only; the client goes on at the registry itself. Leave it https, or let clients reach it by a loopback address, see --mirror-listen.',
  },
  PEER_GONE: {
    status: 502,
    oci: 'BLOB_UNKNOWN',
    help: 'The connection to that peer has ended; its chunks come from others.',
  },
  PEER_PROTOCOL: {
    status: 502,
    oci: 'BLOB_UNKNOWN',
    help: 'A peer sent what our protocol does not allow and was disconnected. Run one version of Shoal on all nodes.',
  },
  PEER_UNREACHABLE: {
    status: 502,
    oci: 'BLOB_UNKNOWN',
    help: 'No connection to that peer: it is down, its address is wrong, a firewall is in between, or it has another cluster secret.',
  },
  RANGE_UNSATISFIABLE: {
    status: 416,
    oci: 'SIZE_INVALID',
    help: 'The range lies outside the content; the Content-Range header tells its size.',
  },
  REFERENCE_INVALID: {
    status: 400,
    oci: 'MANIFEST_UNKNOWN',
    help: 'A reference is a tag of at most 128 characters from [A-Za-z0-9_.-], or a sha256 digest.',
  },
  ROUTE_UNKNOWN: {
    status: 404,
    oci: 'UNSUPPORTED',
    help: 'The mirror serves the pull endpoints of the OCI distribution spec below /v2/.',
  },
  RULE_REFUSED: {
    status: 403,
    oci: 'DENIED',
    help: 'A rule in --rules refuses this image on this node. Clients that have the registry as their next host may still get it there; see docs/access.md.',
  },
  SECRET_INVALID: {
    status: 500,
    oci: 'UNSUPPORTED',
    help: 'A secret file holds 32 random bytes: raw, as 64 hex digits or as base64. Make one with `openssl rand -hex 32`.',
  },
  SIZE_CONFLICT: {
    status: 502,
    oci: 'SIZE_INVALID',
    help: 'The same digest was described with two sizes; the manifest or the origin is wrong.',
  },
  STORE_DIRECTORY_INVALID: {
    status: 500,
    oci: 'BLOB_UNKNOWN',
    help: 'The data directory must be a directory that this process may read and write; see --data-dir.',
  },
  STORE_LOCKED: {
    status: 500,
    oci: 'BLOB_UNKNOWN',
    help: 'Two agents never share a data directory; stop the other one, or give this one its own --data-dir.',
  },
  STREAM_BROKEN: {
    status: 404,
    oci: 'BLOB_UNKNOWN',
    help: 'This content broke off a moment ago and is not to be had here; take the rest from the registry itself.',
  },
} as const satisfies Record<string, ErrorSpec>

export type ErrorCode = keyof typeof errorTable

/** The one error class of Shoal. `detail` names what was wrong; it never holds a secret. */
export class ShoalError extends Error {
  readonly code: ErrorCode
  readonly detail: string

  constructor(code: ErrorCode, detail: string, options?: { cause?: unknown }) {
    super(`${detail}. ${errorTable[code].help}`, options)
    this.name = 'ShoalError'
    this.code = code
    this.detail = detail
  }

  get spec(): ErrorSpec {
    return errorTable[this.code]
  }
}
